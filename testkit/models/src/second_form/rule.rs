//! The rules that protect the second form's guarantees; a case each goes without one.

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Before the watermark moves to L, the rows up to L are read and none is unpublished. Without: it moves.
    LastRead,
    /// That read is in a snapshot taken after the transactions were seen to have ended. Without: before.
    ReadAfterSeen,
    /// L is read before X is taken, or before the holders of locks are listed. Without: behind.
    LimitFirst,
    /// The watermark waits for the transactions before X, or for the listed ones. Without: it does not.
    WaitForTheOpen,
    /// A writer has its transaction id, and its lock on the table, before it draws. Without: it draws first.
    IdBeforeDraw,
    /// A round reads every hole. Without: it may skip one.
    EveryHole,
    /// A round reads holes at all. Without: what lies above the highest published position.
    HolesAtAll,
    /// Holes and tail are read in one snapshot. Without: holes first.
    OneStatement,
    /// Every write of a relay checks the fence. Without: none does.
    FenceIsChecked,
    /// While a key has rows in the side table it is served from there. Without: from the log.
    SideTableFirst,
    /// Which keys have such rows is read in the round's own snapshot. Without: a set in memory says so.
    StoppedKeysFromSnapshot,
    /// Ranges and moves to the side table are one statement. Without: moved first, then recorded.
    RecordedWithMove,
    /// The same. Without: recorded first, then moved.
    MovedWithRecord,
    /// Nothing of a key is sent behind an unknown answer. Without: it is.
    NothingBehindUnknown,
    /// A partition is checked once its lock is held. Without: before.
    CheckUnderLock,
    /// No key is in two rounds that are in flight. Without: any row may be.
    DisjointRounds,
    /// To the last read what is in flight is unpublished. Without: it counts as published.
    InFlightIsUnpublished,
}
