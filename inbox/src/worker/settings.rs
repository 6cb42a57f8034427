//! What can be set on a worker.

use std::{fmt, sync::Arc, time::Duration};

use mainstay_clock::{Backoff, Clock, IdGenerator, SystemClock, SystemIds};

use super::{Worker, kinds::KindRules};
use crate::{
    Inbox,
    failure::{BlockKey, FailurePolicy},
};

/// Settings with their defaults.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) concurrency: usize,
    pub(super) batch_size: usize,
    pub(super) transaction_interval: Duration,
    pub(super) max_in_flight_messages: usize,
    pub(super) max_in_flight_bytes: usize,
    pub(super) max_in_flight_total_messages: usize,
    pub(super) max_in_flight_total_bytes: usize,
    pub(super) handler_deadline: Duration,
    pub(super) backoff: Backoff,
    pub(super) max_attempts: u32,
    pub(super) commit_interval: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) retention: Duration,
    pub(super) failure_policy: Arc<dyn FailurePolicy>,
    pub(super) kinds: KindRules,
    pub(super) on_commit: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGenerator>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 1,
            batch_size: 100,
            transaction_interval: Duration::ZERO,
            max_in_flight_messages: 10_000,
            max_in_flight_bytes: 64 * 1024 * 1024,
            max_in_flight_total_messages: 100_000,
            max_in_flight_total_bytes: 256 * 1024 * 1024,
            handler_deadline: Duration::from_secs(30),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
            max_attempts: 5,
            commit_interval: Duration::from_millis(50),
            drain_timeout: Duration::from_secs(10),
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            failure_policy: Arc::new(BlockKey::new()),
            kinds: KindRules::default(),
            on_commit: None,
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(SystemIds::new()),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("concurrency", &self.concurrency)
            .field("batch_size", &self.batch_size)
            .field("transaction_interval", &self.transaction_interval)
            .field("max_in_flight_messages", &self.max_in_flight_messages)
            .field("max_in_flight_bytes", &self.max_in_flight_bytes)
            .field(
                "max_in_flight_total_messages",
                &self.max_in_flight_total_messages,
            )
            .field("max_in_flight_total_bytes", &self.max_in_flight_total_bytes)
            .field("handler_deadline", &self.handler_deadline)
            .field("backoff", &self.backoff)
            .field("max_attempts", &self.max_attempts)
            .field("commit_interval", &self.commit_interval)
            .field("drain_timeout", &self.drain_timeout)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl<I: Inbox, K, S> Worker<I, K, S> {
    /// How many transactions run at once; default 1. More gain nothing on a database with one
    /// writer, such as SQLite.
    pub fn concurrency(mut self, transactions: usize) -> Self {
        self.settings.concurrency = transactions.max(1);
        self
    }

    /// How many messages one transaction takes at most; default 100. While handlers fail often, it
    /// takes fewer.
    pub fn batch_size(mut self, messages: usize) -> Self {
        self.settings.batch_size = messages.max(1);
        self
    }

    /// Minimum interval between the start of a transaction that takes all messages that are ready and
    /// the next start; default: none.
    ///
    /// A transaction costs the database a sync of its disk, however many messages it takes. An
    /// interval lets it wait for more of them, and adds as much to their latency at most. It does not
    /// delay messages that are tried again; what is ready then starts with them.
    pub fn transaction_interval(mut self, interval: Duration) -> Self {
        self.settings.transaction_interval = interval;
        self
    }

    /// The largest in-flight window of a partition, in messages and bytes; default 10,000 messages
    /// or 64 MiB.
    ///
    /// The window reaches from the lowest unfinished record to the newest one read. When it is
    /// full, the partition pauses (backpressure); it resumes at half of the limit. Records that the
    /// consumer has fetched by then come on top.
    pub fn max_in_flight(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.max_in_flight_messages = messages.max(1);
        self.settings.max_in_flight_bytes = bytes.max(1);
        self
    }

    /// The in-flight windows of all partitions together, in messages and bytes; default 100,000
    /// messages or 256 MiB.
    ///
    /// When they are full, the fullest partitions pause: those that hold their share, which is the
    /// same for all, or more. The others go on until they hold it too, so that a blocked partition
    /// stops no other. All windows together stay below twice the limit.
    pub fn max_in_flight_total(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.max_in_flight_total_messages = messages.max(1);
        self.settings.max_in_flight_total_bytes = bytes.max(1);
        self
    }

    /// How long one call of a handler may take; default 30 s, at least 1 ms.
    ///
    /// It must lie below the time after which the database ends an idle transaction. It should lie
    /// above the database's `lock_timeout`: a handler that waits for a lock has not failed.
    pub fn handler_deadline(mut self, deadline: Duration) -> Self {
        self.settings.handler_deadline = deadline;
        self
    }

    /// How long to wait before the next attempt; default 100 ms, doubling up to 30 s.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// How many attempts on a message may fail before the failure policy gets it; default 5, at
    /// least 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts.max(1);
        self
    }

    /// What happens to messages that cannot be handled; default [`BlockKey`].
    pub fn failure_policy(mut self, policy: impl FailurePolicy) -> Self {
        self.settings.failure_policy = Arc::new(policy);
        self
    }

    /// Minimum interval between offset commits; default 50 ms.
    ///
    /// A commit costs the broker a sync of its disk. Messages whose offsets were not committed
    /// before a crash are delivered again and found to be duplicates. While the consumer has no
    /// news, the interval grows to a second, so that commits never keep the consumer from renewing
    /// its membership.
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.settings.commit_interval = interval;
        self
    }

    /// How long a shutdown waits for running transactions before it abandons them; default 10 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// How long a processed record is kept after its message's offset was committed; default 7
    /// days.
    ///
    /// A message that is delivered again later than that is processed again: keep the window above
    /// the broker's retention.
    pub fn retention(mut self, window: Duration) -> Self {
        self.settings.retention = window;
        self
    }

    /// Calls `notify` after each committed transaction. A panic in it is logged.
    ///
    /// An outbox on the same `Database` value is notified of these commits without this.
    pub fn on_commit(mut self, notify: impl Fn() + Send + Sync + 'static) -> Self {
        self.settings.on_commit = Some(Arc::new(notify));
        self
    }

    /// The time; default the host's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The randomness of the backoff; default the host's.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.settings.ids = Arc::new(ids);
        self
    }
}
