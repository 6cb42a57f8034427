//! What a candidate is doing.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Error, FencingToken};

/// The state of a candidate for leadership.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct LeaderStatus {
    /// The fencing token with which it leads; `None` while it does not.
    pub leading: Option<FencingToken>,
    /// How often it was elected since it started.
    pub terms: u64,
    /// Why it cannot be elected, or why its work failed; `None` again once it is elected or another
    /// candidate leads.
    pub last_error: Option<Arc<str>>,
}

/// Shows the state of a [`Leader`](super::Leader) that runs; clones show the same one.
#[derive(Clone, Default)]
pub struct LeaderHandle {
    status: Arc<Mutex<LeaderStatus>>,
}

impl LeaderHandle {
    /// What the candidate is doing.
    #[must_use]
    pub fn status(&self) -> LeaderStatus {
        self.lock().clone()
    }

    /// Why it is not elected yet.
    pub(super) fn waits(&self, why: &Error) {
        let error = match why {
            Error::Held { .. } => None,
            error => Some(error.to_string().into()),
        };
        self.lock().last_error = error;
    }

    pub(super) fn failed(&self, error: &(dyn std::error::Error + Send + Sync)) {
        self.lock().last_error = Some(error.to_string().into());
    }

    /// Leads until the term is dropped.
    pub(super) fn elected(&self, token: FencingToken) -> Term<'_> {
        let mut status = self.lock();
        status.leading = Some(token);
        status.terms += 1;
        status.last_error = None;
        Term(self)
    }

    fn lock(&self) -> MutexGuard<'_, LeaderStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LeaderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LeaderHandle").field(&self.status()).finish()
    }
}

/// A term of leadership, however it ends.
pub(super) struct Term<'a>(&'a LeaderHandle);

impl Drop for Term<'_> {
    fn drop(&mut self) {
        self.0.lock().leading = None;
    }
}
