//! Holding a lease while work runs under it.

use std::{
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::atomic::{AtomicI64, Ordering},
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt as _;
use mainstay_clock::Monotonic;

use super::{Executed, Exit, Operations};
use crate::{Error, Lease, Leases, telemetry};

/// Pause before the store is asked again after it did not answer.
const PAUSE: Duration = Duration::from_millis(50);

/// Who has a lease.
pub(super) struct Holder<L> {
    operations: Operations<L>,
    lease: Lease,
    /// When the lease ends at the earliest, in microseconds of the monotonic clock.
    deadline: AtomicI64,
}

impl<L: Leases + Clone> Holder<L> {
    /// The holder of a lease that was asked for at `asked`.
    pub(super) fn new(operations: Operations<L>, lease: Lease, asked: Monotonic) -> Self {
        let holder = Self {
            operations,
            lease,
            deadline: AtomicI64::new(0),
        };
        holder.extend(asked);
        holder
    }

    /// Runs `work` until it ends or the lease does, and says so to the store.
    pub(super) async fn hold<T>(
        self,
        work: impl Future<Output = Exit<T>>,
    ) -> Result<Executed<T>, Error> {
        let ended = tokio::select! {
            biased;
            lost = self.renew() => return Err(lost),
            ended = self.guard(AssertUnwindSafe(work).catch_unwind()) => ended?,
        };
        match ended {
            Ok(Exit::Keep(answer, output)) => {
                self.insist(|| self.operations.leases.complete(&self.lease, &answer))
                    .await?;
                telemetry::fresh();
                Ok(Executed::Ran(output))
            }
            Ok(Exit::Release(output)) => {
                self.release().await;
                Ok(Executed::Ran(output))
            }
            Err(panic) => {
                self.release().await;
                Ok(Executed::Panicked(panic))
            }
        }
    }

    /// Polls `work` only while the lease lasts.
    async fn guard<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.left().is_zero() {
                return Poll::Ready(Err(self.lost()));
            }
            work.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// Renews the lease at a third of its time until it is lost.
    async fn renew(&self) -> Error {
        let Operations { lease, leases, .. } = &self.operations;
        let mut pause = *lease / 3;
        loop {
            tokio::time::sleep(pause.min(self.left())).await;
            if self.left().is_zero() {
                return self.lost();
            }
            let asked = self.operations.clock.monotonic();
            match self.in_time(leases.renew(&self.lease, *lease)).await {
                Ok(()) => {
                    self.extend(asked);
                    pause = *lease / 3;
                }
                Err(Error::Fenced { .. }) => return self.lost(),
                Err(error) => {
                    tracing::debug!(%error, "an idempotency lease could not be renewed; trying again");
                    pause = PAUSE;
                }
            }
        }
    }

    /// Frees the key. If the store does not answer in time, it is free when the lease has ended.
    async fn release(&self) {
        let released = self.insist(|| self.operations.leases.release(&self.lease));
        if let Err(error) = released.await {
            let key = &self.lease.request().key;
            tracing::warn!(%error, %key, "an idempotency key stays blocked until its lease ends");
        }
    }

    /// Asks the store until it answers, as long as the lease lasts.
    async fn insist<F>(&self, call: impl Fn() -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        loop {
            match self.in_time(call()).await {
                Err(Error::Unavailable(_)) if !self.left().is_zero() => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn in_time(&self, call: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
        let limit = self.operations.store_timeout;
        let answered = tokio::time::timeout(limit, call).await;
        answered.unwrap_or_else(|slow| Err(Error::Unavailable(slow.into())))
    }

    /// The lease lasts at least as long from `asked`; a hundredth is for clocks that run apart.
    fn extend(&self, asked: Monotonic) {
        let deadline = asked + self.operations.lease / 100 * 99;
        self.deadline.store(deadline.as_micros(), Ordering::Relaxed);
    }

    fn left(&self) -> Duration {
        let deadline = Monotonic::from_micros(self.deadline.load(Ordering::Relaxed));
        deadline.remaining_at(self.operations.clock.monotonic())
    }

    fn lost(&self) -> Error {
        let key = self.lease.request().key.clone();
        tracing::warn!(%key, token = %self.lease.token(), "an idempotency lease was lost; its work is abandoned");
        Error::Fenced { key }
    }
}
