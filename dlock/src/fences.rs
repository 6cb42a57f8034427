//! The side of the resource: where fencing tokens are checked.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Error, FencingToken};

/// Refuses writes of former holders, in the transaction that writes.
///
/// [`Guard::check`](crate::Guard::check) calls it for the holder of a lock.
#[async_trait]
pub trait Fences: Send + Sync + 'static {
    /// What statements run on; the same type as `Transactions::Connection`.
    type Connection: Send + 'static;

    /// Accepts `token` unless a newer one was accepted for `name` before.
    ///
    /// # Behaviour
    /// - Call it first in the transaction, before anything is read on which a write depends.
    /// - An accepted token is remembered for good, by the transaction: if that rolls back, it was never
    ///   accepted.
    /// - Transactions that check the same name run one after another: the later one waits until the
    ///   earlier one has ended.
    /// - It writes a row of its own and never the row of a lease, so an open transaction does not keep
    ///   its holder's lease from being renewed.
    ///
    /// # Errors
    /// [`Error::Fenced`] with the newest token that was accepted. The transaction must be rolled back.
    /// [`Error::Database`] when the statement fails.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the transaction as any statement does that was not awaited: roll it back.
    async fn check(
        &self,
        connection: &mut Self::Connection,
        name: &str,
        token: FencingToken,
    ) -> Result<(), Error>;
}

#[async_trait]
impl<F: Fences + ?Sized> Fences for Arc<F> {
    type Connection = F::Connection;

    async fn check(
        &self,
        connection: &mut Self::Connection,
        name: &str,
        token: FencingToken,
    ) -> Result<(), Error> {
        (**self).check(connection, name, token).await
    }
}
