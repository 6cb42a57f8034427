//! Transaction ids, and what a statement sees.

use std::fmt;

/// The id of a transaction that writes: 64 bits, never reused, drawn in the order of first writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TransactionId(pub(super) u64);

impl TransactionId {
    /// The number, as `pg_current_xact_id()` gives it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which transactions a statement sees, as `pg_current_snapshot()` gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    pub(super) xmin: TransactionId,
    pub(super) xmax: TransactionId,
    pub(super) in_progress: Vec<TransactionId>,
}

impl Snapshot {
    /// Every transaction below it has ended; the statement's own counts as not ended.
    #[must_use]
    pub const fn xmin(&self) -> TransactionId {
        self.xmin
    }

    /// One above the highest transaction that has ended: nothing from here on is seen.
    #[must_use]
    pub const fn xmax(&self) -> TransactionId {
        self.xmax
    }

    /// Transactions below [`xmax`](Self::xmax) that had not ended, ascending, without the
    /// statement's own.
    #[must_use]
    pub fn in_progress(&self) -> &[TransactionId] {
        &self.in_progress
    }

    /// Whether what this transaction wrote is seen, if it committed.
    #[must_use]
    pub fn sees(&self, transaction: TransactionId) -> bool {
        transaction < self.xmax && self.in_progress.binary_search(&transaction).is_err()
    }
}
