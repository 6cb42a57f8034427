//! What the holder of a lock has.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use crate::{Error, Fences, FencingToken, locks::Lease};

/// A lock that is held. It is renewed until it is [released](Self::release), dropped or lost.
///
/// A drop releases in the background. Without a checked [`token`](Self::token) a lock is an optimisation: it makes
/// double work rare and excludes nothing.
#[derive(Debug)]
#[must_use = "a guard that is dropped gives the lock back"]
pub struct Guard {
    lease: Arc<Lease>,
}

impl Guard {
    pub(crate) const fn new(lease: Arc<Lease>) -> Self {
        Self { lease }
    }

    /// The same lock, for who watches over its work.
    pub(crate) fn share(&self) -> Self {
        Self::new(Arc::clone(&self.lease))
    }

    /// The name of the lock.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lease.name
    }

    /// The fencing token of this holder, which the written resource checks.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.lease.token
    }

    /// Whether the lease has not ended, as far as this side knows. It may end the next moment: only
    /// [`check`](Self::check) protects a write.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.remaining().is_some()
    }

    /// Time until the lease ends unless it is renewed; `None` once it has ended.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.lease.remaining()
    }

    /// Polls `future` while the lease lasts and never afterwards; when the lease ends, drops it with all it has open.
    ///
    /// The lease's end is counted from before it was asked for, on a clock that counts suspended time, and is
    /// looked at before each poll: a process that was stopped for longer than its lease polls no more after it goes on.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # use mainstay_dlock::{Locks, MemoryLeases, database::memory::Database};
    /// # let locks = Locks::new(MemoryLeases::builder(&Database::new()).open().await?);
    /// let guard = locks.acquire("reports", std::time::Duration::from_secs(30)).await?;
    /// let pages = guard.run(async { 17 }).await?;
    /// assert_eq!(pages, 17);
    /// # Ok::<_, mainstay_dlock::Error>(()) }).unwrap();
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Lost`] when the lease ended first. What `future` had written may be there.
    ///
    /// # Cancel safety
    /// That of `future`, which is dropped where it is.
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        let (mut future, mut lost) = (pin!(future), pin!(self.lease.lost()));
        poll_fn(|context| {
            if self.lease.is_lost() {
                return Poll::Ready(Err(self.lost_error()));
            }
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let lost = lost.as_mut().poll(context);
            lost.map(|()| Err(self.lost_error()))
        })
        .await
    }

    /// Completes when the lease has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn lost(&self) {
        self.lease.lost().await;
    }

    /// Checks the token in the caller's transaction; call it first in each transaction that writes.
    ///
    /// Once it has succeeded, no later holder's transaction gets past its own check before this transaction has
    /// ended, and no former holder's write commits after it.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the resource has seen a newer holder, [`Error::Lost`] when the lease has ended: roll
    /// the transaction back. A refused guard is lost, and the next one of these [`Locks`](crate::Locks) gets a larger token.
    /// [`Error::Database`] when the statement fails.
    ///
    /// # Cancel safety
    /// As [`Fences::check`].
    pub async fn check<F: Fences + ?Sized>(
        &self,
        fences: &F,
        connection: &mut F::Connection,
    ) -> Result<(), Error> {
        if !self.is_held() {
            return Err(self.lost_error());
        }
        let checked = fences.check(connection, self.name(), self.token()).await;
        if let Err(Error::Fenced { seen, .. }) = &checked {
            metrics::counter!("mainstay_dlock_fenced").increment(1);
            self.lease.shared.raise_floor(self.name(), *seen);
            self.lease.end();
        }
        checked
    }

    /// Releases the lock and waits until the store has done so.
    ///
    /// # Errors
    /// Those of the store. The release is repeated in the background, and the lease ends by itself at the latest.
    ///
    /// # Cancel safety
    /// Cancel safe: the release continues in the background.
    pub async fn release(self) -> Result<(), Error> {
        self.lease.release().await
    }

    fn lost_error(&self) -> Error {
        Error::Lost {
            name: self.name().to_owned(),
        }
    }
}
