//! The role that opens and ends transactions, for engines that run user code.

use std::{ops::DerefMut, time::Duration};

use async_trait::async_trait;

use crate::Error;

/// Opens transactions and commits them.
///
/// Only engines that run user code (inbox worker, orchestrator, replay) need it. A store's methods
/// take the caller's transaction as `&mut Self::Connection` instead: `&mut tx` coerces to it.
#[async_trait]
pub trait Transactions: Send + Sync + 'static {
    /// What a statement runs on; the same type as `Outbox::Connection`, `Inbox::Connection`.
    type Connection: Send + 'static;

    /// An open transaction. Dropping it rolls it back.
    type Transaction: DerefMut<Target = Self::Connection> + Send + 'static;

    /// Opens a transaction that may write.
    ///
    /// # Behaviour
    /// - Isolation is READ COMMITTED or stronger.
    ///
    /// # Cancel safety
    /// Cancel safe: a transaction that was opened and not returned is rolled back.
    async fn begin(&self) -> Result<Self::Transaction, Error>;

    /// Commits. Once this returns `Ok`, the writes are durable and visible.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the answer was lost: the transaction may be applied, not
    /// applied, or *applied later*. Any other error says that it was not applied.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome unknown.
    async fn commit(&self, transaction: Self::Transaction) -> Result<(), Error>;

    /// How long a transaction may be idle before the database ends it; `None` if it never does.
    ///
    /// Engines keep the deadlines of user code below it. Otherwise slow code would lose its
    /// transaction each time, and no attempt would ever end.
    fn idle_limit(&self) -> Option<Duration>;
}
