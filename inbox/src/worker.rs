//! The consumer runtime.

mod calls;
mod engine;
mod holdings;
mod item;
mod lanes;
mod outcome;
mod pump;
mod settings;
mod span;
mod telemetry;
mod upkeep;
mod work;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use mainstay_database::Transactions;
use mainstay_messaging::{Consumer, Group};
use tokio_util::sync::CancellationToken;

use crate::{Error, Handlers, Inbox, MarkRetention, Status};
use engine::Engine;
use settings::Settings;
use telemetry::Meters;
use work::Work;

/// Reads a broker as one member of a group and makes the effect of each message once.
///
/// One worker serves one consumer name: one broker group, one set of handlers.
pub struct Worker<T: Transactions + ?Sized, I: ?Sized> {
    group: Group,
    transactions: Arc<T>,
    inbox: Arc<I>,
    handlers: Arc<Handlers<T::Connection>>,
    settings: Settings,
    status: Arc<Mutex<Status>>,
}

impl<T, I> Worker<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + MarkRetention + ?Sized,
{
    /// A worker of `group` that runs `handlers` in transactions of `transactions` and marks what is done in `inbox`.
    #[must_use]
    pub fn new(
        group: Group,
        transactions: Arc<T>,
        inbox: Arc<I>,
        handlers: Handlers<T::Connection>,
    ) -> Self {
        Self {
            group,
            transactions,
            inbox,
            handlers: Arc::new(handlers),
            settings: Settings::default(),
            status: Arc::default(),
        }
    }

    /// Works until `shutdown`, then finishes what is in flight, commits, leaves the group and returns.
    ///
    /// # Errors
    /// [`Error::TwoHandlers`], [`Error::DeadlineTooLong`] before anything is read; [`Error::Broker`] when the broker ended this member for good.
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: what was not committed is delivered again, and done once.
    pub async fn run(
        &self,
        consumer: impl Consumer,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        self.handlers.check()?;
        let deadline = self.settings.handler_deadline;
        if let Some(limit) = self.transactions.idle_limit()
            && deadline >= limit
        {
            return Err(Error::DeadlineTooLong { deadline, limit });
        }
        let work = Work {
            group: self.group.clone(),
            transactions: Arc::clone(&self.transactions),
            inbox: Arc::clone(&self.inbox),
            handlers: Arc::clone(&self.handlers),
            settings: self.settings.clone(),
            meters: Meters::new(&self.group),
        };
        Engine::run(Arc::new(work), consumer, Arc::clone(&self.status), shutdown).await
    }

    /// What it is doing now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<T: Transactions + ?Sized, I: ?Sized> fmt::Debug for Worker<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("group", &self.group)
            .field("handlers", &self.handlers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
