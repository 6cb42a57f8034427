//! Locking reads.

use std::sync::Arc;

use super::Statement;
use crate::{
    Error,
    memory::{locks::Strength, table::Record},
};

/// What to do about a row that another transaction has locked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "SQL has these three")]
pub enum Wait {
    /// Wait for it.
    Block,
    /// `SKIP LOCKED`: skip it.
    SkipLocked,
    /// `NOWAIT`: fail.
    NoWait,
}

/// What a locking read found.
#[must_use]
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle all three")]
pub enum Locked<R> {
    /// The row is locked; this is its newest version, which the snapshot may not have.
    Row(R),
    /// The snapshot has no such row, or it was deleted by the time the lock could be had.
    Missing,
    /// Another transaction holds it, and the statement said [`Wait::SkipLocked`].
    Skipped,
}

impl<R> Locked<R> {
    /// The row, if it is locked.
    #[must_use]
    pub fn row(self) -> Option<R> {
        match self {
            Self::Row(row) => Some(row),
            Self::Missing | Self::Skipped => None,
        }
    }
}

impl Statement<'_> {
    /// `SELECT … FOR …`: locks a row until the transaction ends, and reads its newest version.
    ///
    /// # Errors
    /// [`Error::Conflict`] for a deadlock, a lock timeout, or a row that is locked while `wait` is
    /// [`Wait::NoWait`]; [`Error::Aborted`] after an earlier error.
    ///
    /// # Cancel safety
    /// As [`insert`](Self::insert).
    pub async fn lock<R: Record>(
        &mut self,
        key: &R::Key,
        strength: Strength,
        wait: Wait,
    ) -> Result<Locked<R>, Error> {
        self.connection.check_open()?;
        let Some(found) = self.visible::<R>(key).filter(|found| !found.changed_here) else {
            return Ok(Locked::Missing);
        };
        if !self.connection.lock_row(found.row, strength, wait).await? {
            return Ok(Locked::Skipped);
        }
        self.connection.transaction_id();
        Ok(self
            .newest::<R>(key, found.row)
            .map_or(Locked::Missing, |newest| {
                Locked::Row(Arc::unwrap_or_clone(newest))
            }))
    }
}
