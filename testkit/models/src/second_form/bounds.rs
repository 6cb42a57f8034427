//! How much of everything happens in a case.

use crate::{message::Message, mishaps::mishaps};

/// Who writes what, which form the protocol has, and how often what goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Each written by a transaction of its own.
    pub(crate) messages: &'static [Message],
    pub(crate) settled: Settled,
    pub(crate) cursor: Cursor,
    /// Whether there is one relay with two rounds in flight, instead of two relays.
    pub(crate) pipeline: bool,
    /// Whether partitions are rotated and truncated.
    pub(crate) truncation: bool,
    pub(crate) mishaps: Mishaps,
}

/// How a relay knows that the transactions have ended that may still fill holes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    /// By the oldest transaction id that is open anywhere.
    ByIds,
    /// By those that hold the table's lock.
    ByLocks,
}

/// How the cursor's row is updated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cursor {
    /// With the whole value that the relay has in memory.
    Whole,
    /// By merging what is new.
    Merged,
}

mishaps! {
    /// Writers that roll back.
    rollbacks,
    /// Messages that the broker refuses, each time.
    refusals,
    /// Answers of the broker that are lost; the message was stored or not.
    lost_answers,
    /// Changes of the owner; the former one does not know.
    takeovers,
    /// Relays that die.
    crashes,
}
