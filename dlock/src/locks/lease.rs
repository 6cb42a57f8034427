//! One lease, as its guard and the renewals share it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mainstay_clock::Monotonic;
use tokio::{runtime::Handle, sync::watch};

use super::Shared;
use crate::{Error, FencingToken, store::Holding};

/// A lease that was granted. Dropping the last reference gives it back in the background.
pub(crate) struct Lease {
    pub(crate) name: String,
    owner: String,
    pub(crate) token: FencingToken,
    pub(crate) shared: Arc<Shared>,
    /// Its number among the renewals.
    number: u64,
    /// When it ends; `None` once it is over, for good.
    ends: watch::Sender<Option<Monotonic>>,
    /// Whether its holder has given it up.
    given_up: AtomicBool,
    /// Whether the store knows that it is over.
    released: AtomicBool,
    runtime: Handle,
}

impl Lease {
    /// A lease that is renewed until it is dropped.
    pub(super) fn new(
        shared: &Arc<Shared>,
        name: String,
        owner: String,
        token: FencingToken,
        ends: Monotonic,
        runtime: Handle,
    ) -> Arc<Self> {
        let lease = Arc::new(Self {
            name,
            owner,
            token,
            shared: Arc::clone(shared),
            number: shared.renewals.next_number(),
            ends: watch::Sender::new(Some(ends)),
            given_up: AtomicBool::new(false),
            released: AtomicBool::new(false),
            runtime,
        });
        shared.renewals.add(lease.number, &lease);
        lease
    }

    pub(super) fn holding(&self) -> Holding<'_> {
        Holding {
            name: &self.name,
            owner: &self.owner,
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Time left; `None` once it is over.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        let ends = (*self.ends.borrow())?;
        let left = ends.remaining_at(self.shared.settings.clock.monotonic());
        (!left.is_zero()).then_some(left)
    }

    /// Whether it is over, and its holder did not give it up.
    pub(crate) fn is_lost(&self) -> bool {
        self.remaining().is_none() && !self.given_up.load(Ordering::Acquire)
    }

    /// Completes when it is lost.
    pub(crate) async fn lost(&self) {
        let mut ends = self.ends.subscribe();
        loop {
            ends.mark_unchanged();
            if self.is_lost() {
                return;
            }
            // The sleep only wakes; the clock decides. The sender is this value's own, so waiting for it does not fail.
            let remaining = self.remaining().unwrap_or(Duration::MAX);
            tokio::select! {
                () = tokio::time::sleep(remaining) => {}
                Ok(()) | Err(_) = ends.changed() => {}
            }
        }
    }

    /// It was renewed by a request that was sent at `sent`. A lease that has ended here stays over, whatever the
    /// store says: its work was dropped.
    pub(super) fn extend(&self, sent: Monotonic) {
        let until = self.shared.deadline(sent);
        let now = self.shared.settings.clock.monotonic();
        self.ends.send_modify(|ends| {
            *ends = ends.filter(|ends| !ends.has_passed_at(now)).map(|_| until);
        });
    }

    /// It is over, whatever the store says.
    pub(crate) fn end(&self) {
        self.ends.send_replace(None);
    }

    /// The store said that it is over.
    pub(super) fn lose(&self) {
        self.end();
        self.released.store(true, Ordering::Release);
    }

    /// Ends it, then tells the store.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        // First, so that nobody believes to hold what the store has given to another owner.
        self.given_up.store(true, Ordering::Release);
        self.end();
        self.shared.renewals.forget(self.number);
        self.shared.store.release(self.holding()).await?;
        self.released.store(true, Ordering::Release);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.renewals.forget(self.number);
        if !self.released.load(Ordering::Acquire) {
            let (name, owner) = (
                std::mem::take(&mut self.name),
                std::mem::take(&mut self.owner),
            );
            give_back(&self.shared, &self.runtime, name, owner);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", &self.name)
            .field("token", &self.token)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// Releases a lock in the background, until the store has done it or the lease has ended by itself. On a
/// runtime that has shut down nothing runs, and the lease ends by itself.
pub(super) fn give_back(shared: &Arc<Shared>, runtime: &Handle, name: String, owner: String) {
    let shared = Arc::clone(shared);
    runtime.spawn(async move {
        let held = Holding {
            name: &name,
            owner: &owner,
        };
        let lease = shared.settings.lease;
        let releasing = async {
            loop {
                match shared.store.release(held).await {
                    Err(error) if error.is_retryable() => tokio::time::sleep(lease / 20).await,
                    released => return released,
                }
            }
        };
        // After a whole lease there is nothing left to release.
        if let Ok(Err(error)) = tokio::time::timeout(lease, releasing).await {
            tracing::warn!(lock = name, %error, "a lock could not be released; it is free when its lease ends");
        }
    });
}
