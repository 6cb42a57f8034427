//! The rules that protect the guarantees of parking; a case each goes without one.

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Once its processed records are written, a transaction looks in a second statement whether the key is blocked. Without: it
    /// does not look.
    SecondStatement,
    /// That statement reads the row of the blocked key. Without: a cache.
    DecidedInAdmission,
    /// A follower holds a share lock on the stopped-key row. Without: none.
    FollowersLock,
    /// Who hands a key back locks the row exclusively before looking. Without: no lock.
    HandBackLocks,
    /// And looks in a statement behind the one that locked. Without: in the same.
    HandBackLooksAgain,
    /// The row of a stopped key is updated where it exists, which waits for a hand-back. Without: left alone.
    RowIsUpdated,
    /// And is written only with the message's own mark. Without: whatever became of the mark, and left alone where it exists.
    RowWithOwnMark,
    /// Parked mark and row are one transaction. Without: two.
    ParkAtOnce,
    /// While parking fails nothing more of the key starts. Without: it goes on.
    FailedParkStops,
    /// Effect and mark of a replay are one transaction. Without: two.
    ReplayAtOnce,
    /// Only the lowest parked message of a key is replayed. Without: any.
    HeadOnly,
    /// The head is waited for. Without: `SKIP LOCKED` takes the next.
    HeadIsWaitedFor,
    /// A replay sees, once it has the lock, that the message is still parked. Without: it saw so before.
    StateIsChecked,
    /// That a key is to go on is in its row. Without: in the process that replayed the head.
    DrainingInRow,
    /// Who stops a draining key again sees, under its mark's lock, that the message that failed is still parked. Without: he does not
    /// look, and the followers of one that was discarded meanwhile are left behind nobody.
    StopChecksItsHead,
    /// A sweep hands back keys without parked messages. Without: who emptied them does.
    Sweep,
    /// A discarded message keeps its mark. Without: it is as if never seen.
    DiscardKeepsMark,
    /// Offsets go up to the lowest unfinished message. Without: behind the highest finished one.
    LowestUnfinished,
    /// The server ends the transaction of a process that was stopped. Without: its locks are held for ever.
    ServerEndsIdle,
}
