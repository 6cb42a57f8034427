//! What holds, what protects it, and the cases that show both.

use crate::{
    message::Message::{K1, K2, K3, K4, L1},
    prelude::*,
};

use super::{DeadLetters, Kept, Model, State, Step, Task, Worker};

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Behind its processed records, a second statement looks for a blocked key. Without: none.
    SecondStatement,
    /// That statement reads the row of the blocked key. Without: a cache.
    RowIsRead,
    /// A transaction with held messages share-locks the row of the blocked key. Without: not.
    HeldMessagesLock,
    /// A hand-back locks the row exclusively before it looks for queued messages. Without: no lock.
    HandBackLocks,
    /// And looks in a statement behind the one that locked. Without: in the same.
    HandBackLooksAgain,
    /// An existing row is updated, which waits for a hand-back. Without: left alone.
    RowIsUpdated,
    /// And is written only with the message's own record. Without: always, or left alone.
    RowWithOwnRecord,
    /// Record and row of a dead letter are one transaction. Without: two.
    DeadLetterAtOnce,
    /// While a message cannot be dead-lettered nothing more of its key starts. Without: it goes on.
    FailedDeadLetterBlocks,
    /// Effect and record of a replay are one transaction. Without: two.
    ReplayAtOnce,
    /// Only the lowest queued message of a key is replayed. Without: any.
    HeadOnly,
    /// The head is waited for. Without: `SKIP LOCKED` takes the next.
    HeadIsWaitedFor,
    /// A replay with the lock checks that the message is still queued. Without: it checked before.
    StateIsChecked,
    /// That a key drains is in its row. Without: in the process that replayed the head.
    DrainingInRow,
    /// A draining key is blocked again only if the failed message is still queued, seen under the
    /// lock of its body. Without: always, even if it was discarded meanwhile.
    BlockRechecksDeadLetter,
    /// A sweep hands back keys without queued messages. Without: only who emptied them does.
    Sweep,
    /// A discarded message keeps its record. Without: it is as if never seen.
    DiscardKeepsRecord,
    /// Offsets go up to the lowest unfinished message. Without: behind the highest finished one.
    LowestUnfinished,
    /// The server ends the transaction of a stopped process. Without: its locks are held for ever.
    ServerEndsIdle,
}

// What holds: the guarantees of the inbox and of the dead letter queue.
const ONCE: &str = "an effect is made at most once";
const ORDER: &str = "effects of a key are in order";
const HAS_ROW: &str = "a queued message has its blocked-key row";
const NOTHING_VANISHES: &str = "at rest each message is done, queued or discarded";
const NO_EMPTY_ROW: &str = "at rest a blocked key has queued messages";
const NONE_LEFT: &str = "at rest the head of a blocked key has failed";
const FLOW: &str = "at rest the other key is done";
const DISCARDED: &str = "a discarded message has no effect";
const NO_DEADLOCK: &str = "no transaction waits for ever";
const OFFSET: &str = "a committed offset has its records";

pub(super) fn guarantees(model: &Model) -> Guarantees<DeadLetters> {
    let acts = model.expects(&[Act]);
    let is_kept = model.form.is_kept;
    Guarantees::<DeadLetters>::new()
        .always(ONCE, |m, s| !m.all().any(|m| s.effects.repeats(m)))
        .always(ORDER, |_, s| !s.effects.out_of_order)
        .always(HAS_ROW, |_, s| is_empty(s) || s.tables.row.exists)
        .always(NOTHING_VANISHES, |m, s| {
            let is_there = |message| match s.tables.kept(message) {
                Kept::Nothing => false,
                Kept::Done => s.effects.has(message),
                Kept::Queued | Kept::Discarded => true,
            };
            !is_quiet(m, s) || m.all().all(is_there)
        })
        .always(NO_EMPTY_ROW, |m, s| {
            !is_quiet(m, s) || !s.tables.row.exists || !is_empty(s)
        })
        .always(NONE_LEFT, |m, s| {
            let head = s.tables.queued().iter().next();
            !is_quiet(m, s) || head.is_none_or(|head| s.failed.contains(head))
        })
        .always(FLOW, |m, s| {
            let mut others = m.all().filter(|m| m.key() == Key::L);
            !m.is_at_rest(s) || others.all(|m| s.tables.kept(m) == Kept::Done)
        })
        .always(NO_DEADLOCK, |m, s| !m.is_at_rest(s) || !is_busy(s))
        .always(OFFSET, |m, s| {
            let mut below = (0..s.offset).map(|offset| m.message(offset));
            below.all(|message| s.tables.kept(message) != Kept::Nothing)
        })
        .always(DISCARDED, |m, s| {
            m.form.restore || s.effects.missing(s.discarded) == s.discarded
        })
        .reaches("two are queued", |_, s| s.tables.queued().len() > 1)
        .reaches_if(!is_kept, "a zombie is first", |_, s| s.zombie_was_first)
        .reaches_if(acts, "all is done after a replay", |m, s| {
            let is_done = s.effects.all() == m.all().collect();
            is_done && !s.failed.is_empty() && !s.tables.row.exists
        })
        .reaches_if(acts, "a key drains", |_, s| {
            !is_empty(s) && s.tables.row.is_draining
        })
}

/// Whether somebody is in the middle of something.
fn is_busy(state: &State) -> bool {
    let works = |worker: &Worker| worker.is_up && worker.step != Step::Idle;
    state.workers.values().any(works) || state.operators.values().any(|task| *task != Task::Idle)
}

/// Whether nothing is queued.
fn is_empty(state: &State) -> bool {
    state.tables.queued().is_empty()
}

fn is_quiet(model: &Model, run: &Run<State>) -> bool {
    model.is_at_rest(run) && !is_busy(run)
}

const KKKK: Log = &[K1, K2, K3, K4];
const KKLK: Log = &[K1, K2, L1, K3];
const KKLKK: Log = &[K1, K2, L1, K3, K4];
const ACTS: Budget = &[Failure, Act, Act];
const AGAIN: Budget = &[Failure, Failure, Act, Act];
const CRASHES: Budget = &[Failure, Act, OperatorCrash];
const FAILS: Budget = &[Failure, FailedDeadLetter];
const LOST: Budget = &[Failure, Act, Act, Crash, LostCommit, FailedDeadLetter];

pub(crate) fn cases() -> Vec<Case> {
    Cases::<DeadLetters>::of("dead-letters")
        .small(KKL, &[Failure, Act, Crash])
        .small(KKK, &[Failure, Act])
        .small(KK, &[Failure, Failure, Act, Act, OperatorCrash])
        .small(KK, &[Failure, Act, LostCommit, FailedDeadLetter])
        .large(KKKK, &[Failure, Act, Act, Crash])
        .large(KKK, &[Failure, Act, Act, Crash, Freeze])
        .large(KKK, LOST)
        .large(KKK, &[Failure, Failure, Act, Act, OperatorCrash])
        .large(KKLKK, &[Failure, Act])
        .without(Rule::RowIsRead, ORDER, KK, &[Failure])
        .without(Rule::HeldMessagesLock, HAS_ROW, KK, &[Failure, Act])
        .without(Rule::HandBackLocks, HAS_ROW, KK, &[Failure, Act])
        .without(Rule::HandBackLooksAgain, HAS_ROW, KK, &[Failure, Act])
        .without(Rule::RowWithOwnRecord, HAS_ROW, KK, &[Failure, Failure])
        .without(Rule::DeadLetterAtOnce, HAS_ROW, KK, &[Failure])
        .without(Rule::FailedDeadLetterBlocks, ORDER, KK, FAILS)
        .without(Rule::ReplayAtOnce, ONCE, KK, ACTS)
        .without(Rule::HeadOnly, ORDER, KK, &[Failure, Act])
        .without(Rule::HeadIsWaitedFor, ORDER, KK, ACTS)
        .without(Rule::StateIsChecked, ONCE, KK, ACTS)
        .without(Rule::DrainingInRow, NONE_LEFT, KK, CRASHES)
        .without(Rule::Sweep, NO_EMPTY_ROW, KK, CRASHES)
        .without(Rule::DiscardKeepsRecord, DISCARDED, KK, &[Failure, Act])
        .without(Rule::LowestUnfinished, OFFSET, KKL, &[Failure])
        .without(Rule::ServerEndsIdle, NO_DEADLOCK, KKL, &[Failure, Freeze])
        .form("batches", |form| form.batches = true)
        .small(KKL, &[Failure, Act, Crash])
        .small(KKK, &[Failure, Act])
        .small(KKL, &[Failure, Act, Freeze])
        .large(KKLK, &[Failure, Act, Act, Crash])
        .large(KKL, &[Failure, Act, Act, Crash, Freeze])
        .large(KKL, LOST)
        .large(KKK, &[Failure, Failure, Act, Act, OperatorCrash])
        .without(Rule::SecondStatement, ORDER, KK, &[Failure])
        .without(Rule::ServerEndsIdle, FLOW, KKL, &[Failure, Freeze])
        .form("kept partition", |form| form.is_kept = true)
        .small(KKK, AGAIN)
        .without(Rule::BlockRechecksDeadLetter, NONE_LEFT, KKK, AGAIN)
        .form("restore", |form| form.restore = true)
        .small(KK, &[Failure, Act, Act, Act])
        .large(KK, &[Failure, Failure, Act, Act, Act, Act])
        .without(Rule::RowIsUpdated, HAS_ROW, KK, ACTS)
        .list()
}
