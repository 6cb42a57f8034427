//! What can be set on a worker.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use mainstay_clock::{Backoff, Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_database::Transactions;

use super::Worker;
use crate::{BlockKey, FailurePolicy};

/// Settings with their defaults.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) concurrency: usize,
    pub(super) batch: usize,
    pub(super) max_in_flight_messages: usize,
    pub(super) max_in_flight_bytes: usize,
    pub(super) handler_deadline: Duration,
    pub(super) backoff: Backoff,
    pub(super) attempts: u32,
    pub(super) commit_interval: Duration,
    pub(super) drain: Duration,
    pub(super) retention: Duration,
    pub(super) parking: Arc<dyn FailurePolicy>,
    pub(super) on_commit: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGenerator>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 1,
            batch: 100,
            max_in_flight_messages: 10_000,
            max_in_flight_bytes: 64 * 1024 * 1024,
            handler_deadline: Duration::from_secs(30),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
            attempts: 5,
            commit_interval: Duration::from_millis(50),
            drain: Duration::from_secs(10),
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            parking: Arc::new(BlockKey::new()),
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
            .field("batch", &self.batch)
            .field("max_in_flight_messages", &self.max_in_flight_messages)
            .field("max_in_flight_bytes", &self.max_in_flight_bytes)
            .field("handler_deadline", &self.handler_deadline)
            .field("backoff", &self.backoff)
            .field("attempts", &self.attempts)
            .field("commit_interval", &self.commit_interval)
            .field("drain", &self.drain)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl<T: Transactions + ?Sized, I: ?Sized> Worker<T, I> {
    /// How many transactions run at once; default 1. Databases with one writer, such as SQLite, gain nothing from more.
    #[must_use]
    pub const fn concurrency(mut self, transactions: NonZeroUsize) -> Self {
        self.settings.concurrency = transactions.get();
        self
    }

    /// How many messages one transaction takes at most; default 100.
    #[must_use]
    pub const fn batch(mut self, messages: NonZeroUsize) -> Self {
        self.settings.batch = messages.get();
        self
    }

    /// How much may lie between a partition's lowest unfinished record and its newest one; default 10,000 messages or 64 MiB.
    /// At the bound the partition pauses, below half of it it goes on.
    #[must_use]
    pub const fn max_in_flight(mut self, messages: NonZeroUsize, bytes: usize) -> Self {
        self.settings.max_in_flight_messages = messages.get();
        self.settings.max_in_flight_bytes = bytes;
        self
    }

    /// How long one call of a handler may take; default 30 s. Must lie below the time after which the database ends an idle
    /// transaction, and should lie above its `lock_timeout`: a handler that waits for a lock has not failed.
    #[must_use]
    pub const fn handler_deadline(mut self, deadline: Duration) -> Self {
        self.settings.handler_deadline = deadline;
        self
    }

    /// How long to wait before the next attempt; default 100 ms doubling up to 30 s.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// How often a handler is tried on a message before it is parked; default 5, at least 1.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.settings.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// What becomes of messages that cannot be handled; default [`BlockKey`].
    #[must_use]
    pub fn parking(mut self, parking: Arc<dyn FailurePolicy>) -> Self {
        self.settings.parking = parking;
        self
    }

    /// How long offsets are not committed after the last time; default 50 ms, and up to a second while the consumer has
    /// nothing to tell, so that commits never keep it from renewing its membership. A commit costs the broker a sync of its disk; what was not
    /// committed at a crash is delivered again and found to be a duplicate.
    #[must_use]
    pub const fn commit_interval(mut self, interval: Duration) -> Self {
        self.settings.commit_interval = interval;
        self
    }

    /// How long a shutdown waits for transactions in flight before it abandons them; default 10 s.
    #[must_use]
    pub const fn drain(mut self, limit: Duration) -> Self {
        self.settings.drain = limit;
        self
    }

    /// How long a mark is kept after its message's offset was committed; default 7 days. What arrives again later than that is
    /// done again: keep it above the longest time for which the broker can deliver a message again.
    #[must_use]
    pub const fn retention(mut self, window: Duration) -> Self {
        self.settings.retention = window;
        self
    }

    /// Is called after each committed transaction: ring an outbox's notifier here. If it panics, that is logged.
    #[must_use]
    pub fn on_commit(mut self, call: Arc<dyn Fn() + Send + Sync>) -> Self {
        self.settings.on_commit = Some(call);
        self
    }

    /// Time; default the host's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Randomness of the backoff; default the host's.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdGenerator>) -> Self {
        self.settings.ids = ids;
        self
    }
}
