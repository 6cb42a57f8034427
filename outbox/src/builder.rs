//! How an outbox is opened, whatever the database.

use std::{fmt, sync::Arc, time::Duration};

use mainstay_clock::{Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_database::Namespace;
use mainstay_messaging::{InvalidName, Message, Source};

use crate::{
    Error,
    store::{Origin, SHARD_HASH},
};

/// Opens an outbox in a database `D`; made by the store's `builder`.
///
/// | setter | default |
/// |---|---|
/// | `source` | none; needed to [`emit`](crate::Outbox::emit) events |
/// | `shards` | 1 |
/// | `max_message_size` | 1 MiB |
/// | `deduplication_retention` | 7 days |
/// | `namespace` (PostgreSQL, SQLite) | plain names |
/// | `listen_check_interval` (PostgreSQL) | 30 s |
/// | `clock`, `ids` | the system's |
#[derive(Clone, Debug)]
#[must_use = "call open() to open the outbox"]
pub struct OutboxBuilder<D> {
    pub(crate) database: D,
    pub(crate) settings: Settings,
    source: Result<Option<Source>, InvalidName>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

/// Each check of a listener opens a connection.
const LEAST_LISTEN_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What a store was opened with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) namespace: Namespace,
    pub(crate) shards: u16,
    pub(crate) max_message_size: usize,
    pub(crate) deduplication_retention: Duration,
    pub(crate) listen_check_interval: Duration,
}

impl<D> OutboxBuilder<D> {
    pub(crate) fn new(database: D) -> Self {
        Self {
            database,
            settings: Settings {
                namespace: Namespace::plain(),
                shards: 1,
                max_message_size: 1024 * 1024,
                deduplication_retention: Duration::from_secs(7 * 24 * 3600),
                listen_check_interval: Duration::from_secs(30),
            },
            source: Ok(None),
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds::new()),
        }
    }

    /// The source of events, such as `/orders`: who emits them. Needed to
    /// [`emit`](crate::Outbox::emit); messages that are enqueued as such bring their own.
    pub fn source<S>(mut self, source: S) -> Self
    where
        S: TryInto<Source>,
        S::Error: Into<InvalidName>,
    {
        self.source = source.try_into().map(Some).map_err(Into::into);
        self
    }

    /// How many relays can share the work; default 1. It is written into the schema at the first
    /// open and cannot be changed later.
    pub fn shards(mut self, shards: u16) -> Self {
        self.settings.shards = shards.max(1);
        self
    }

    /// The largest message accepted, in bytes of [`Message::size`]; default 1 MiB. Set it to the
    /// broker's limit.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// How long a [deduplication key](crate::DeduplicationKey) is remembered; default 7 days.
    pub const fn deduplication_retention(mut self, retention: Duration) -> Self {
        self.settings.deduplication_retention = retention;
        self
    }

    /// The clock that stamps events, and on SQLite decides leases and delays; default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The source of event ids; default: the system's.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// What the outbox is opened with.
    pub(crate) fn finish(self) -> Result<(D, Settings, Origin), Error> {
        let origin = Origin::new(self.source?, self.clock, self.ids);
        let given = self.settings.listen_check_interval;
        if given < LEAST_LISTEN_CHECK_INTERVAL {
            return Err(Error::TooShort {
                setting: "listen_check_interval",
                given,
                least: LEAST_LISTEN_CHECK_INTERVAL,
            });
        }
        Ok((self.database, self.settings, origin))
    }
}

impl Settings {
    /// Compares the stored number of shards and hash with this process's.
    pub(crate) fn check_layout(&self, stored: u16, stored_hash: String) -> Result<(), Error> {
        if stored == self.shards && stored_hash == SHARD_HASH {
            return Ok(());
        }
        Err(Error::LayoutMismatch {
            stored,
            stored_hash,
            configured: self.shards,
            configured_hash: SHARD_HASH,
        })
    }

    pub(crate) fn check_size(&self, message: &Message) -> Result<(), Error> {
        let (size, limit) = (message.size(), self.max_message_size);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("namespace", &self.namespace)
            .field("shards", &self.shards)
            .field("max_message_size", &self.max_message_size)
            .field("deduplication_retention", &self.deduplication_retention)
            .field("listen_check_interval", &self.listen_check_interval)
            .finish()
    }
}
