//! How much of everything happens in a case.

use crate::{message::Message, mishaps::mishaps};

/// What lies in the log, how it is worked on, and how often what goes wrong.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(crate) struct Bounds {
    /// The partition, in offset order. A message that is in it twice was sent twice.
    pub(crate) log: &'static [Message],
    /// Whether all free messages go into one transaction, instead of one of each key into its own.
    pub(crate) batches: bool,
    /// What may lie between the lowest unfinished message and the one that is started.
    pub(crate) span: u8,
    /// A message whose handler always fails.
    pub(crate) poison: Option<Message>,
    /// Whether marks are forgotten.
    pub(crate) retention: bool,
    /// Whether the broker takes offsets of a former holder, too, as long as they do not go back.
    pub(crate) former_commits: bool,
    /// Whether the server ends the transactions of stopped processes before everybody has lost patience.
    pub(crate) server_ends: bool,
    pub(crate) mishaps: Mishaps,
}

mishaps! {
    /// Handlers that fail.
    failures,
    /// Changes of the partition's holder that the former one does not hear of.
    rebalances,
    /// Workers that die and start again.
    crashes,
    /// Commits whose answer is lost: done, not done, or done later.
    lost_commits,
    /// Workers that are stopped for ever within a transaction.
    freezes,
}
