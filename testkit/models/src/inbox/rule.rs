//! The rules that protect the inbox's guarantees; a case each goes without one.

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Mark and effect are one transaction. Without: the mark is committed first.
    EffectWithMark,
    /// The same. Without: the effect is committed first.
    MarkWithEffect,
    /// A message is known by its id. Without: by where it lies.
    IdentityOfMessage,
    /// A mark is unique. Without: it is looked for, then written.
    UniqueMark,
    /// Admission waits for a mark that another transaction is writing. Without: that is a duplicate at once.
    OpenMarkIsWaitedFor,
    /// A batch writes its marks in the order of positions. Without: in any.
    MarksInOrder,
    /// One message of a key runs at a time. Without: the next one starts beside it.
    OneFlightPerKey,
    /// What failed is the next of its key again. Without: the others of its key go first.
    FailedGoesFirst,
    /// A stopped key waits. Without: only its head does.
    StoppedKeyWaits,
    /// What cannot be handled stops its key. Without: the partition.
    StopsItsKeyOnly,
    /// A commit whose answer was lost is tried again. Without: it counts as done.
    UnknownIsTriedAgain,
    /// A message is finished behind its transaction. Without: when it was handed out.
    FinishedWhenCommitted,
    /// Offsets go up to the lowest unfinished message. Without: behind the highest finished one.
    LowestUnfinished,
    /// The broker refuses offsets of former holders, and below the committed one. Without: it takes them.
    OffsetsOnlyForward,
    /// What lies finished above the lowest unfinished message is bounded. Without: it is not.
    SpanIsBounded,
    /// A batch that waits for a mark for too long is given up and goes on one by one. Without: it waits.
    LockTimeout,
    /// The server ends the transaction of a process that was stopped. Without: its marks are held for ever.
    ServerEndsIdle,
    /// Marks at or above the committed offset are kept. Without: forgotten like others.
    KeepsUncommitted,
    /// Where a duplicate lies is noted. Without: a mark counts for the place that it was written for.
    CopiesAreNoted,
    /// The window outlasts whatever a former holder has in hand. Without: it is shorter.
    WindowOutlastsTheLate,
}
