//! The rules that protect the first form's guarantees; a case each goes without one.

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// A relay reads what is committed. Without: also rows of open transactions.
    CommittedRows,
    /// It reads every visible row of its shard. Without: those behind the last position that it recorded.
    VisibleRows,
    /// Stopped keys and rows are read in one snapshot. Without: stopped keys first.
    OneSnapshot,
    /// A row goes after the broker's answer. Without: when it is fetched.
    PublishThenRecord,
    /// What is refused goes from the log to the side table in one transaction. Without: from the log in a first, to the side
    /// table in a second.
    MoveAtOnce,
    /// While a key has rows in the side table it is served from there. Without: from the log, too.
    StoppedKeyWaits,
    /// Nothing of a key is sent behind a refused message. Without: it is.
    NothingBehindRefused,
    /// Nothing of a key is stored behind an unknown answer. Without: it is.
    NothingBehindUnknown,
    /// A refusal behind an unknown answer of its key waits for its turn. Without: it stops the key at once, and what comes
    /// before it ends up behind it.
    RefusalWaitsItsTurn,
    /// A refusal behind another of its key follows it. Without: it is a second stop, and passes the followers of the first.
    OneStopPerKey,
    /// An unknown answer moves nothing: an outage burns no attempts. Without: it counts as a refusal.
    UnknownMovesNothing,
    /// A refusal stops its own key. Without: the whole round.
    StopsItsKeyOnly,
    /// What records checks the fence. Without: whoever comes may record.
    FenceIsChecked,
    /// The check holds a share lock on the shard's row until it commits. Without: it reads a snapshot.
    ShareLock,
    /// Each change of owner raises the fence. Without: it stays.
    FenceRises,
    /// A lease is on disk when it is answered. Without: it is committed asynchronously, as acknowledgements are.
    LeaseOnDisk,
    /// The database's clock says whether a lease has ended. Without: any relay's.
    DatabaseClock,
    /// A relay gives its shard up between rounds. Without: also in the middle of one.
    ReleaseBetweenRounds,
    /// The server ends the transaction of a process that was stopped. Without: its locks are held for ever.
    ServerEndsIdle,
    /// A writer locks the row that it changes, then draws its position. Without: it draws first.
    DrawUnderLock,
}
