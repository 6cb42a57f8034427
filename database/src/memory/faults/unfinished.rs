//! Transactions that their clients no longer hold and the server still does.

use std::{fmt, sync::Arc};

use crate::memory::{locks::Session, state::Server};

/// A commit that may yet be applied.
#[must_use = "it stays pending until it is applied or discarded"]
pub struct PendingCommit {
    pub(super) server: Arc<Server>,
    pub(super) session: Session,
}

impl PendingCommit {
    /// The commit is applied: its writes become visible and its locks go.
    pub fn apply(self) {
        self.server.commit(self.session);
    }

    /// The commit never happens.
    pub fn discard(self) {
        drop(self.server.state().end(self.session, false));
    }
}

impl fmt::Debug for PendingCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingCommit({})", self.session)
    }
}

/// A transaction that is open on the server although its client is gone.
#[must_use = "it lingers until it is ended"]
pub struct Lingering {
    pub(super) server: Arc<Server>,
    pub(super) session: Session,
}

impl Lingering {
    /// The server notices, and rolls it back.
    pub fn end(self) {
        drop(self.server.state().end(self.session, false));
    }
}

impl fmt::Debug for Lingering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lingering({})", self.session)
    }
}
