//! One acquisition, from the first request to the guard.

use std::{sync::Arc, time::Duration};

use mainstay_clock::{Backoff, Monotonic};
use tokio::runtime::Handle;

use super::{
    Shared,
    lease::{Lease, give_back},
};
use crate::{
    Error, Guard,
    store::{Acquired, Claim, Holding},
};

/// An owner that asks for a lock. All its requests carry the same owner, so asking again after a lost answer is
/// right. If it ends without knowing, the lock is given back in the background.
pub(super) struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    name: &'a str,
    owner: String,
    /// Whether the store may have granted the lock without this side knowing.
    unknown: bool,
    runtime: Handle,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, name: &'a str) -> Self {
        Self {
            shared,
            name,
            owner: shared.settings.ids.uuid().to_string(),
            unknown: false,
            runtime: Handle::current(),
        }
    }

    pub(super) async fn once(mut self) -> Result<Option<Guard>, Error> {
        let answer = self.ask(self.shared.settings.lease).await?;
        Ok(answer.ok())
    }

    /// Asks until `deadline`, and tells `waits` before each pause why.
    pub(super) async fn until(
        mut self,
        deadline: Monotonic,
        at_most: Duration,
        waits: impl Fn(&Error) + Send + Sync,
    ) -> Result<Guard, Error> {
        let settings = &self.shared.settings;
        let pauses = Backoff::new(settings.poll_interval, settings.poll_interval);
        let left = || deadline.remaining_at(settings.clock.monotonic());
        let mut patience = if at_most.is_zero() {
            settings.lease
        } else {
            at_most
        };
        let mut was_held = false;
        loop {
            let pause = pauses.delay(0, &*settings.ids);
            let (pause, why_not) = match self.ask(patience.min(settings.lease)).await {
                Ok(Ok(guard)) => return Ok(guard),
                Ok(Err(remaining)) => {
                    was_held = true;
                    // A store that does not know says zero.
                    let known = (!remaining.is_zero()).then_some(remaining);
                    (
                        known.map_or(pause, |known| known.min(pause)),
                        self.held(at_most),
                    )
                }
                // The deadline cut the last request short.
                Err(error) if error.is_retryable() && was_held && left().is_zero() => {
                    (pause, self.held(at_most))
                }
                Err(error) if error.is_retryable() => (pause, error),
                Err(error) => return Err(error),
            };
            waits(&why_not);
            tokio::time::sleep(pause.min(left())).await;
            patience = left();
            if patience.is_zero() {
                return Err(why_not);
            }
        }
    }

    fn held(&self, waited: Duration) -> Error {
        Error::Held {
            name: self.name.to_owned(),
            waited,
        }
    }

    /// A guard, or the time for which another owner has the lock.
    async fn ask(&mut self, patience: Duration) -> Result<Result<Guard, Duration>, Error> {
        let clock = &self.shared.settings.clock;
        let claim = Claim {
            holding: Holding {
                name: self.name,
                owner: &self.owner,
            },
            lease: self.shared.settings.lease,
            above: self.shared.floor(self.name),
        };
        // The lease ends here before it ends in the store, which counts from a later moment.
        let ends = self.shared.deadline(clock.monotonic());
        self.unknown = true;
        let asking = self.shared.store.acquire(claim);
        let answer = tokio::time::timeout(patience, asking).await;
        let answer = answer.map_err(|_| unavailable("it gave no answer in time"))??;
        let token = match answer {
            Acquired::Held { remaining } => {
                self.unknown = false;
                metrics::counter!("mainstay_dlock_contended").increment(1);
                return Ok(Err(remaining));
            }
            Acquired::Granted(token) => token,
        };
        if token <= claim.above {
            let (above, why) = (claim.above, "guarded resources would refuse it");
            let why = format!("it granted token {token}, which is not above {above}: {why}");
            return Err(Error::Refused(why.into()));
        }
        if ends.has_passed_at(clock.monotonic()) {
            return Err(unavailable("its answer came after the lease had ended"));
        }
        self.unknown = false;
        let (name, owner) = (self.name.to_owned(), std::mem::take(&mut self.owner));
        let runtime = self.runtime.clone();
        let lease = Lease::new(self.shared, name, owner, token, ends, runtime);
        Ok(Ok(Guard::new(lease)))
    }
}

fn unavailable(why: &'static str) -> Error {
    Error::Unavailable(why.into())
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.unknown {
            let (name, owner) = (self.name.to_owned(), std::mem::take(&mut self.owner));
            give_back(self.shared, &self.runtime, name, owner);
        }
    }
}
