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

    /// Sets a savepoint, which [`roll_back_to_savepoint`](Self::roll_back_to_savepoint) returns to.
    ///
    /// # Behaviour
    /// - A transaction has one savepoint at a time: [release](Self::release_savepoint) it before
    ///   setting the next.
    /// - Savepoints that user code sets and ends in between are its own affair.
    ///
    /// # Errors
    /// The transaction must then be rolled back.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the savepoint is set: roll the transaction back.
    async fn savepoint(&self, connection: &mut Self::Connection) -> Result<(), Error>;

    /// Removes the savepoint and keeps what was written since.
    ///
    /// # Errors
    /// [`Error::Aborted`] if a statement failed since the savepoint and the database does not go on
    /// after that. Other errors if the savepoint is gone, because user code has ended the
    /// transaction. After any error, [`roll_back_to_savepoint`](Self::roll_back_to_savepoint) says
    /// whether the transaction can go on.
    ///
    /// # Cancel safety
    /// As [`savepoint`](Self::savepoint).
    async fn release_savepoint(&self, connection: &mut Self::Connection) -> Result<(), Error>;

    /// Undoes what was written since the savepoint, and keeps the savepoint.
    ///
    /// # Behaviour
    /// - Works after a failed statement, and after user code whose future was dropped: it waits
    ///   until a statement that was sent has ended.
    /// - Other transactions go on that waited for what is undone.
    ///
    /// # Errors
    /// The transaction cannot go on, and must be rolled back.
    ///
    /// # Cancel safety
    /// As [`savepoint`](Self::savepoint).
    async fn roll_back_to_savepoint(&self, connection: &mut Self::Connection) -> Result<(), Error>;

    /// How long a transaction may be idle before the database ends it; `None` if it never does.
    ///
    /// Engines keep the deadlines of user code below it. Otherwise slow code would lose its
    /// transaction each time, and no attempt would ever end.
    fn idle_limit(&self) -> Option<Duration>;
}
