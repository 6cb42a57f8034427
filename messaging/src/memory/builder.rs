//! Settings of the log in memory.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use mainstay_clock::{Clock, IdGenerator, SystemIds, TokioClock};

use super::{Broker, Faults, Inner, notifier::Notifier};

/// Settings of a [`Broker`]; from [`Broker::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) max_message_size: usize,
    pub(super) lease: Duration,
    pub(super) revocation_timeout: Duration,
    pub(super) fetch_records: u16,
    pub(super) fetch_bytes: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGenerator>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
                max_message_size: 1024 * 1024,
                lease: Duration::from_secs(5),
                revocation_timeout: Duration::from_secs(3),
                fetch_records: 500,
                fetch_bytes: 8 * 1024 * 1024,
                clock: Arc::new(TokioClock::default()),
                ids: Arc::new(SystemIds::new()),
            },
        }
    }

    /// The largest message accepted, in bytes of [`Message::size`](crate::Message::size); default 1
    /// MiB.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// How long a member that stopped answering keeps its partitions; default 5 s. Members renew it
    /// at a third, but at most once per millisecond.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long a member may take to give a revoked partition back; default 3 s.
    pub const fn revocation_timeout(mut self, timeout: Duration) -> Self {
        self.settings.revocation_timeout = timeout;
        self
    }

    /// Records per partition that one delivery holds at most; default 500, at least 1.
    pub fn fetch_records(mut self, count: u16) -> Self {
        self.settings.fetch_records = count.max(1);
        self
    }

    /// Bytes over all partitions that one delivery holds at most; a single larger record still
    /// comes. Default 8 MiB.
    pub fn fetch_bytes(mut self, bytes: usize) -> Self {
        self.settings.fetch_bytes = bytes.max(1);
        self
    }

    /// The clock of leases; default tokio's, so that paused time pauses leases.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Where ids of members and random [`Faults`] come from; default the system's.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.settings.ids = Arc::new(ids);
        self
    }

    /// An empty log.
    #[must_use]
    pub fn build(self) -> Broker {
        let settings = self.settings;
        let notifier = Arc::<Notifier>::default();
        Broker {
            inner: Arc::new(Inner {
                faults: Faults::new(Arc::clone(&settings.ids), Arc::clone(&notifier)),
                settings,
                state: Mutex::default(),
                notifier,
            }),
        }
    }
}
