//! What holds, what protects it, and the cases that show both.

use crate::prelude::*;

use super::{Model, QueueTable, State};

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// A relay reads committed rows. Without: also rows of open transactions.
    CommittedRows,
    /// It reads every visible row of its shard. Without: those behind the last recorded position.
    VisibleRows,
    /// Blocked keys and rows are read in one snapshot. Without: blocked keys first.
    OneSnapshot,
    /// A row is removed after the broker's answer. Without: when it is fetched.
    PublishThenRecord,
    /// A refused message moves to the deferred table in one transaction. Without: in two.
    MoveAtOnce,
    /// While a key has deferred rows it is served from there. Without: from the log, too.
    BlockedKeyWaits,
    /// Nothing of a key is sent behind a refused message. Without: it is.
    NothingBehindRefused,
    /// Nothing of a key is stored behind an unknown answer. Without: it is.
    NothingBehindUnknown,
    /// A refusal behind an unknown answer of its key waits. Without: it blocks the key at once.
    RefusalWaitsItsTurn,
    /// A refusal behind another of its key is held. Without: it blocks, and passes held messages.
    OneBlockPerKey,
    /// An unknown answer moves nothing: outages cost no attempts. Without: it is a refusal.
    UnknownMovesNothing,
    /// A refusal blocks its own key. Without: the whole round.
    BlocksItsKeyOnly,
    /// The transaction that records checks the fencing token. Without: any relay may record.
    TokenIsChecked,
    /// The check share-locks the shard's row until the commit. Without: it reads a snapshot.
    ShareLock,
    /// Each change of owner raises the fencing token. Without: it stays.
    TokenRises,
    /// A lease is on disk when it is answered. Without: it is committed asynchronously.
    LeaseOnDisk,
    /// The database's clock says whether a lease has ended. Without: any relay's.
    DatabaseClock,
    /// A relay gives its shard up between rounds. Without: also in the middle of one.
    ReleaseBetweenRounds,
    /// The server ends the transaction of a stopped process. Without: its locks are held for ever.
    ServerEndsIdle,
    /// A writer locks the row that it changes, then draws its position. Without: it draws first.
    DrawUnderLock,
}

// What holds, with the numbers of the guarantees in the outbox's documentation.
const NO_LOSS: &str = "no committed message is lost"; // 1
const NO_PHANTOM: &str = "only committed messages are published"; // 1
const ONCE: &str = "once, without crash, lost answer or late owner"; // 2
const ORDER: &str = "first deliveries of a key are in order"; // 3
const COMMIT_ORDER: &str = "writers that lock their row get commit order"; // 3
const REFUSED_WRITES: &str = "writes of a former owner are refused"; // 4
const ONE_HOLDER: &str = "a fencing token has one holder"; // 4
const NEVER_AGAIN: &str = "the owner never sends again what was recorded"; // 4
const OWN_REFUSAL: &str = "a key is blocked by a refusal of its own"; // 5 and 6
const DRAINED: &str = "at rest everything committed is out"; // 1 and 6

pub(super) fn guarantees(model: &Model) -> Guarantees<QueueTable> {
    let (refusals, stalls) = (model.expects(&[Refusal]), model.expects(&[Stall]));
    let takeovers = model.expects(&[Stall, Freeze]);
    Guarantees::<QueueTable>::new()
        .always(NO_LOSS, |_, s| {
            let missing = s.outbox.broker.missing(s.outbox.committed());
            missing.without(kept(s)).is_empty()
        })
        .always(NO_PHANTOM, |_, s| !s.outbox.invented)
        .always(ONCE, |m, s| {
            let excuses = [LostAnswer, Stall, Crash, Freeze, ServerCrash];
            s.had(&excuses) || !m.all().any(|m| s.outbox.broker.repeats(m))
        })
        .always(ORDER, |_, s| !s.outbox.broker.out_of_order)
        .always(COMMIT_ORDER, |_, s| !s.out_of_commit_order)
        .always(REFUSED_WRITES, |_, s| !s.stale_write)
        .always(ONE_HOLDER, |_, s| {
            let [a, b] = Name::BOTH.map(|name| s.relays[name].token);
            a == 0 || a != b
        })
        .always(NEVER_AGAIN, |_, s| !s.sent_again)
        .always(OWN_REFUSAL, |_, s| {
            let mut deferred = s.database.deferred.iter();
            deferred.all(|message| s.refused.has_key_of(message))
        })
        .always(DRAINED, |m, s| !m.is_at_rest(s) || is_drained(s))
        .reaches("everything is out", |m, s| {
            m.is_committed(&s.outbox) && is_drained(s)
        })
        .reaches("a gap fills behind later rows", |_, s| s.gap_filled)
        .reaches_if(refusals, "a blocked key drains", |_, s| {
            !s.refused.is_empty() && is_drained(s)
        })
        .reaches_if(refusals, "two are deferred", |_, s| {
            s.database.deferred.set().len() > 1
        })
        .reaches_if(takeovers, "the shard is taken over", |_, s| {
            s.had(&[Stall, Freeze]) && s.database.token > 1
        })
        .reaches_if(stalls, "a former owner is refused", |_, s| s.fenced)
        .reaches_if(stalls, "a former owner sends", |m, s| {
            m.all().any(|m| s.outbox.broker.repeats(m))
        })
}

/// What the log, the deferred table or a relay still has.
fn kept(state: &State) -> Messages {
    let rounds = state.relays.values().map(|relay| relay.round);
    let in_rounds = rounds.fold(Messages::NONE, |all, round| {
        all.and(round.rows.set()).and(round.aside())
    });
    let deferred = state.database.deferred.set();
    in_rounds.and(deferred).and(state.database.log)
}

fn is_drained(state: &State) -> bool {
    let database = &state.database;
    database.log.is_empty() && database.deferred.is_empty() && state.outbox.is_out()
}

pub(crate) fn cases() -> Vec<Case> {
    Cases::<QueueTable>::of("queue-table")
        .small(KKL, &[Stall, Rollback, LostCommit])
        .small(KKL, &[Refusal, LostAnswer, Release])
        .small(KK, &[Stall, Refusal, ServerCrash])
        .large(KK, &[Stall, Refusal, LostAnswer, Crash, LostCommit])
        .large(KKL, &[Stall, Refusal, LostAnswer])
        .large(KKK, &[Stall, Refusal, ServerCrash])
        .without(Rule::CommittedRows, NO_PHANTOM, KK, &[])
        .without(Rule::VisibleRows, DRAINED, KK, &[])
        .without(Rule::OneSnapshot, ORDER, KK, &[Stall, Refusal])
        .without(Rule::PublishThenRecord, NO_LOSS, KK, &[Crash])
        .without(Rule::MoveAtOnce, NO_LOSS, KK, &[Crash, Refusal])
        .without(Rule::BlockedKeyWaits, ORDER, KK, &[Refusal])
        .without(Rule::NothingBehindRefused, ORDER, KK, &[Refusal])
        .without(Rule::NothingBehindUnknown, ORDER, KK, &[LostAnswer])
        .without(Rule::RefusalWaitsItsTurn, ORDER, KK, &[LostAnswer, Refusal])
        .without(Rule::OneBlockPerKey, ORDER, KKK, &[Refusal, Refusal])
        .without(Rule::UnknownMovesNothing, OWN_REFUSAL, KK, &[LostAnswer])
        .without(Rule::BlocksItsKeyOnly, OWN_REFUSAL, KKL, &[Refusal])
        .without(Rule::TokenIsChecked, NEVER_AGAIN, KK, &[Stall])
        .without(Rule::ShareLock, REFUSED_WRITES, KK, &[Stall])
        .without(Rule::TokenRises, ONE_HOLDER, KK, &[Stall])
        .without(Rule::LeaseOnDisk, ONE_HOLDER, KK, &[ServerCrash])
        .without(Rule::DatabaseClock, ONCE, KK, &[])
        .without(Rule::ReleaseBetweenRounds, ONCE, KK, &[Release])
        .without(Rule::ServerEndsIdle, DRAINED, KK, &[Freeze])
        .form("in parts", |form| form.in_parts = true)
        .small(KKK, &[Refusal, Refusal, Crash])
        .form("row locks", |form| form.row_locks = true)
        .small(KKL, &[Freeze, Rollback])
        .without(Rule::DrawUnderLock, COMMIT_ORDER, KK, &[])
        .list()
}
