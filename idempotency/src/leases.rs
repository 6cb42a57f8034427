//! The role that keeps keys in a store of their own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{Answer, Begun, Error, KeyedRequest, Lease};

/// Keeps keys and answers in a store of their own, for effects that are elsewhere and carry a key of
/// their own, such as the calls of a payment provider.
///
/// A request is processed under a lease, which its holder renews. If the holder dies, another caller
/// may begin the key when the lease has ended, and the effect is asked for again. The store counts
/// time by its own clock.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Begins a request, in one call to the store.
    ///
    /// # Behaviour
    /// - A key that is free, or whose lease has ended, is `Fresh`, with a fencing token above all
    ///   earlier ones of this key. Of concurrent calls, one gets it.
    /// - A key that was completed is `Done`, and one under a lease is `Running`; either is `Mismatch`
    ///   if its fingerprint differs. A lease that has ended still keeps other fingerprints out.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the key may have been leased to nobody until the lease ends.
    ///
    /// # Cancel safety
    /// Dropping the future may leave the key leased to nobody until the lease ends.
    async fn begin(&self, request: &KeyedRequest, time: Duration) -> Result<Begun<Lease>, Error>;

    /// Makes a lease end `time` from now.
    ///
    /// # Errors
    /// [`Error::Fenced`] if it has ended, even if nobody else has the key.
    ///
    /// # Cancel safety
    /// Cancel safe: it was renewed or not.
    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), Error>;

    /// Keeps the answer, in one call to the store, and ends the lease.
    ///
    /// # Behaviour
    /// - Completing again under the same lease changes nothing and is `Ok`: after a lost answer the
    ///   caller asks again.
    /// - A lease that has ended can be completed until another caller begins the key.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another caller began the key, or the store has forgotten it.
    ///
    /// # Cancel safety
    /// Cancel safe: it was completed or not, and may be completed again.
    async fn complete(&self, lease: &Lease, answer: &Answer) -> Result<(), Error>;

    /// Ends the lease without an answer: the key is free at once, for any fingerprint. The next
    /// lease has a higher fencing token.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another caller began the key, or the store has forgotten it.
    ///
    /// # Cancel safety
    /// Cancel safe: it was released or not, and may be released again.
    async fn release(&self, lease: &Lease) -> Result<(), Error>;
}

#[async_trait]
impl<L: Leases + ?Sized> Leases for Arc<L> {
    async fn begin(&self, request: &KeyedRequest, time: Duration) -> Result<Begun<Lease>, Error> {
        (**self).begin(request, time).await
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), Error> {
        (**self).renew(lease, time).await
    }

    async fn complete(&self, lease: &Lease, answer: &Answer) -> Result<(), Error> {
        (**self).complete(lease, answer).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        (**self).release(lease).await
    }
}
