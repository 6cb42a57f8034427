//! Replays dead letters and what is held behind them.

mod dry_run;
mod handle;
mod jobs;
mod round;

use std::{fmt, sync::Arc, time::Duration};

use mainstay_clock::{Backoff, IdGenerator, SystemIds};
use mainstay_database::Transactions as _;
use mainstay_inbox::{Handlers, store::WorkerStore};
use mainstay_messaging::Group;
use serde::Serialize;

use crate::{DeadLetterQueue, Error, desk::Totals, store::QueueStore};
use handle::Ending;

pub use dry_run::DryRun;
pub use handle::ReplayerHandle;

/// Replays the dead letters of one consumer, in the service that has its handlers, beside its worker.
///
/// It takes the lowest message of a key, one in a transaction, and runs the handler with a deadline.
/// Effect and state commit together. After a success it goes on with the messages held behind, until
/// one fails, which is then the dead letter, or none is left: then the worker has the key again.
///
/// Any number of replayers may run. What is to go on is in the tables, never in a process.
#[must_use = "a replayer does nothing before `run_until` or `spawn`"]
pub struct Replayer<I: WorkerStore, S, T = ()> {
    queue: DeadLetterQueue<I, S>,
    consumer: Group,
    handlers: Handlers<I::Connection, T>,
    settings: Settings,
    ending: Ending,
}

/// Settings with their defaults.
#[derive(Clone, Debug)]
struct Settings {
    poll_interval: Duration,
    handler_deadline: Duration,
    max_attempts: u32,
    backoff: Backoff,
    concurrency: usize,
    retention: Duration,
    ids: Arc<dyn IdGenerator>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(500),
            handler_deadline: Duration::from_secs(30),
            max_attempts: 5,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(30)),
            concurrency: 1,
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            ids: Arc::new(SystemIds::new()),
        }
    }
}

/// A replayer at one moment.
#[derive(Clone, Default, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Whether it runs.
    pub running: bool,
    /// Messages that it has replayed.
    pub replayed: u64,
    /// Messages that failed again.
    pub failed: u64,
    /// What is in the queue, as of its last look; each count goes up to 10,000.
    pub totals: Totals,
    /// Why it makes no progress, while the database or a dependency of a handler does not answer.
    pub last_error: Option<Arc<str>>,
}

impl<I, S, T> Replayer<I, S, T>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
    T: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(
        queue: DeadLetterQueue<I, S>,
        consumer: Group,
        handlers: Handlers<I::Connection, T>,
    ) -> Self {
        Self {
            queue,
            consumer,
            handlers,
            settings: Settings::default(),
            ending: Ending::default(),
        }
    }

    /// Replays until `shutdown` completes. Then it finishes the messages that it is at.
    ///
    /// # Errors
    /// Before anything is read: [`Error::Inbox`] if two handlers take one kind, or if the deadline
    /// lies above the time after which the database ends an idle transaction. Everything else is
    /// retried, and shown by [`Status::last_error`].
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: each effect is applied once.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.handlers.check()?;
        let deadline = self.settings.handler_deadline;
        if let Some(limit) = self.queue.database().idle_limit()
            && deadline >= limit
        {
            return Err(mainstay_inbox::Error::DeadlineTooLong { deadline, limit }.into());
        }
        self.turn(shutdown).await;
        Ok(())
    }

    /// Runs the replayer in a task of its own, until [`ReplayerHandle::shutdown`].
    ///
    /// Dropping the handle leaves the replayer running.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use = "the handle is needed to shut the replayer down"]
    pub fn spawn(self) -> ReplayerHandle {
        let handle = self.handle();
        handle.adopt(tokio::spawn(self.run_until(std::future::pending())));
        handle
    }

    /// A handle that shows the replayer's status while [`run_until`](Self::run_until) runs it.
    #[must_use]
    pub fn handle(&self) -> ReplayerHandle {
        ReplayerHandle::new(self.ending.shared())
    }

    /// How long it waits before it looks at the tables again; default 500 ms. An operator of the
    /// same process wakes it at once.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// How long one call of a handler may take; default 30 s. On SQLite no other transaction writes
    /// meanwhile.
    pub const fn handler_deadline(mut self, deadline: Duration) -> Self {
        self.settings.handler_deadline = deadline;
        self
    }

    /// How many attempts in a row may fail before the key is blocked again; default 5, at least 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts.max(1);
        self
    }

    /// How long to wait before the next attempt; default 100 ms, doubling up to 30 s.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// How many keys go on at once; default 1. More gain nothing on a database with one writer.
    pub fn concurrency(mut self, keys: usize) -> Self {
        self.settings.concurrency = keys.max(1);
        self
    }

    /// How long replayed and discarded messages are kept, and can be restored; default 30 days. It looks
    /// for older ones once a minute.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// The randomness of the backoff; default the host's.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.settings.ids = Arc::new(ids);
        self
    }
}

impl<I: WorkerStore, S, T> fmt::Debug for Replayer<I, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayer")
            .field("consumer", &self.consumer)
            .field("handlers", &self.handlers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
