//! How much of everything happens in a case.

use crate::{message::Message, mishaps::mishaps};

/// What lies in the log, how it is worked on, and how often what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The partition, in offset order.
    pub(crate) log: &'static [Message],
    /// Messages that one statement admits; 1 = each key goes its own way.
    pub(crate) batch: u8,
    /// Whether the partition is never given to anybody else.
    pub(crate) is_kept: bool,
    /// Whether discarded messages can be restored.
    pub(crate) restore: bool,
    pub(crate) mishaps: Mishaps,
}

mishaps! {
    /// Handlers that fail, so that their message is parked.
    failures,
    /// Workers that die.
    crashes,
    /// Commits whose answer is lost: done or not, now or later.
    lost_commits,
    /// Parking that fails.
    failed_parks,
    /// Messages that somebody at a desk replays, discards or restores.
    acts,
    /// Desks that die.
    desk_crashes,
    /// Workers that are stopped for ever within a transaction.
    freezes,
}
