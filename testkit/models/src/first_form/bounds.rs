//! How much of everything happens in a case.

use crate::{message::Message, mishaps::mishaps};

/// Who writes what, and how often what goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Each written by a transaction of its own.
    pub(crate) messages: &'static [Message],
    /// Whether writers lock the row of their aggregate, which is the key's, until they commit.
    pub(crate) row_locks: bool,
    /// Rows fetched at once.
    pub(crate) limit: usize,
    pub(crate) mishaps: Mishaps,
}

mishaps! {
    /// Writers that roll back.
    rollbacks,
    /// Messages that the broker refuses, each time.
    refusals,
    /// Answers of the broker that are lost; the message was stored, or not, or is stored later.
    lost_answers,
    /// Commits of a record that were done and not answered.
    lost_commits,
    /// Leases that end although their owner lives.
    stalls,
    /// Relays that die.
    crashes,
    /// Relays that are stopped for ever within a transaction.
    freezes,
    /// Relays that give their shard up.
    releases,
    /// Crashes of the database's server.
    server_crashes,
}

impl Mishaps {
    /// Whether a message may have been sent twice: a crash, a lost answer, an owner that was late.
    pub(crate) const fn excuse_a_duplicate(&self) -> bool {
        self.lost_answers + self.stalls + self.crashes + self.freezes + self.server_crashes > 0
    }
}
