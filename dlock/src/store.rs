//! What the author of a store needs: the role that locks work on, and the types it exchanges.
//!
//! Run the suite of `mainstay_dlock::conformance` (feature `conformance`) against a store of your own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{Error, FencingToken};

/// Who holds which lock, and until when. The store owns its connections.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Takes a lock for an owner, unless another owner's lease of it has not ended.
    ///
    /// # Behaviour
    /// - The store's own clock decides whether a lease has ended. On SQLite it is the host's monotonic
    ///   clock, which includes suspended time.
    /// - The lease lasts from the moment at which it is granted, after any wait for a lock of the database.
    /// - The token is larger than every token that was granted for the name before, whether that lease was
    ///   released or ended, and larger than [`above`](Claim::above).
    /// - An owner that has the lock keeps it with its token, for another lease: asking again after a lost
    ///   answer is right. The token changes only if it is not above [`above`](Claim::above).
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the lock was taken. Asking again is right, and so is
    /// [`release`](Self::release).
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error>;

    /// Extends leases to `lease` from now; for each, whether it was still the owner's.
    ///
    /// # Behaviour
    /// - A lease that has ended is not extended, even if no other owner took the lock.
    /// - All of them in one round trip.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown which leases were extended. Asking again is right.
    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error>;

    /// Gives up a lock, if the owner has it; a lock that another owner has stays as it is.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the lock was released. Asking again is right.
    async fn release(&self, held: Holding<'_>) -> Result<(), Error>;
}

#[async_trait]
impl<S: LeaseStore + ?Sized> LeaseStore for Arc<S> {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        (**self).acquire(claim).await
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        (**self).renew(held, lease).await
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        (**self).release(held).await
    }
}

/// A wish for a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others read it")]
pub struct Claim<'a> {
    /// The lock, and who wants it.
    pub holding: Holding<'a>,
    /// How long the lease lasts unless it is renewed.
    pub lease: Duration,
    /// The token must be larger than this one, which a guarded resource has seen.
    pub above: FencingToken,
}

/// A lock and its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others read it")]
pub struct Holding<'a> {
    /// The lock: 1 to 255 bytes without control characters.
    pub name: &'a str,
    /// The owner: an id that is new for each acquisition, so a late request of one never touches another.
    pub owner: &'a str,
}

/// The answer to a [`Claim`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "it is granted or it is not")]
pub enum Acquired {
    /// The owner has the lock, with this token.
    Granted(FencingToken),
    /// Another owner has it.
    Held {
        /// Time until that lease ends unless it is renewed; zero if the store does not know.
        remaining: Duration,
    },
}
