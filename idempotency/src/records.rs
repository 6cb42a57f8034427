//! The role that keeps answers in the caller's transaction.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{Answer, Begun, Claim, Error, KeyedRequest, Settled};

/// Keeps the answer to a request in the transaction that makes its effect.
///
/// [`begin`](Self::begin) says whether the effect is to be made, and [`complete`](Self::complete)
/// inserts the record. Both run in the caller's transaction: there is no further commit, and a crash
/// or a rollback takes the key back.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// The lifetime-free type that a driver's transaction dereferences to.
    type Connection: Send + 'static;

    /// Begins requests, and answers for each of them in their order.
    ///
    /// # Behaviour
    /// - A request whose key has a record that has not expired is `Done`, or `Mismatch` if the
    ///   record's fingerprint differs.
    /// - Of two requests with one key in one call, the later one is `Running`, or `Mismatch`.
    /// - Never decides that a request is unique: two transactions may both be told `Fresh`, and
    ///   [`complete_batch`](Self::complete_batch) refuses the later one. Stores say `Running`
    ///   early, or wait, where their database can.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Unreadable`]; the transaction must then be rolled back.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the transaction usable only for a rollback.
    async fn begin_batch(
        &self,
        connection: &mut Self::Connection,
        requests: &[&KeyedRequest],
    ) -> Result<Vec<Begun<Claim>>, Error>;

    /// Completes claims in the transaction that began them. A commit makes the answers the ones that
    /// are given from then on.
    ///
    /// # Behaviour
    /// - The unique key decides. If another transaction has completed a key meanwhile, nothing more
    ///   may be done in this transaction than to roll it back.
    /// - A record that has expired is replaced.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another transaction completed a key first: roll back and begin again,
    /// which replays. [`Error::Database`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what was written: roll the transaction back.
    async fn complete_batch(
        &self,
        connection: &mut Self::Connection,
        completions: Vec<(Claim, &Answer)>,
    ) -> Result<(), Error>;

    /// Begins one request: [`begin_batch`](Self::begin_batch) of one.
    ///
    /// # Errors
    /// As [`begin_batch`](Self::begin_batch).
    ///
    /// # Cancel safety
    /// As [`begin_batch`](Self::begin_batch).
    async fn begin(
        &self,
        connection: &mut Self::Connection,
        request: &KeyedRequest,
    ) -> Result<Begun<Claim>, Error> {
        let begun = self.begin_batch(connection, &[request]).await?;
        // A store that breaks its contract must not cause a second effect.
        let nothing = Begun::Settled(Settled::Running { retry_after: SOON });
        Ok(begun.into_iter().next().unwrap_or(nothing))
    }

    /// Completes one claim: [`complete_batch`](Self::complete_batch) of one.
    ///
    /// # Errors
    /// As [`complete_batch`](Self::complete_batch).
    ///
    /// # Cancel safety
    /// As [`complete_batch`](Self::complete_batch).
    async fn complete(
        &self,
        connection: &mut Self::Connection,
        claim: Claim,
        answer: &Answer,
    ) -> Result<(), Error> {
        let completions = vec![(claim, answer)];
        self.complete_batch(connection, completions).await
    }
}

/// When to ask again about a key that is being processed, where nobody knows for how long.
pub(crate) const SOON: Duration = Duration::from_secs(1);

#[async_trait]
impl<R: Records + ?Sized> Records for Arc<R> {
    type Connection = R::Connection;

    async fn begin_batch(
        &self,
        connection: &mut R::Connection,
        requests: &[&KeyedRequest],
    ) -> Result<Vec<Begun<Claim>>, Error> {
        (**self).begin_batch(connection, requests).await
    }

    async fn complete_batch(
        &self,
        connection: &mut R::Connection,
        completions: Vec<(Claim, &Answer)>,
    ) -> Result<(), Error> {
        (**self).complete_batch(connection, completions).await
    }

    async fn begin(
        &self,
        connection: &mut R::Connection,
        request: &KeyedRequest,
    ) -> Result<Begun<Claim>, Error> {
        (**self).begin(connection, request).await
    }

    async fn complete(
        &self,
        connection: &mut R::Connection,
        claim: Claim,
        answer: &Answer,
    ) -> Result<(), Error> {
        (**self).complete(connection, claim, answer).await
    }
}
