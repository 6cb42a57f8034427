//! What holds, what protects it, and the cases that show both.

use crate::prelude::*;

use super::{AppendOnly, Model, Relay, State};

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// The watermark moves to L if a read finds no unpublished row up to L. Without: no read.
    LastRead,
    /// That read's snapshot is taken after the transactions were seen to end. Without: before.
    ReadAfterSeen,
    /// L is read before X is taken, or before the holders of locks are listed. Without: behind.
    LimitFirst,
    /// The watermark waits for the transactions before X, or for the listed ones. Without: not.
    WaitForTheOpen,
    /// A writer has its transaction id and its table lock before it draws. Without: after.
    IdBeforeDraw,
    /// A round reads every hole. Without: it may skip one.
    EveryHole,
    /// A round reads holes at all. Without: only rows above the highest published position.
    HolesAtAll,
    /// Holes and tail are read in one snapshot. Without: holes first.
    OneStatement,
    /// Every write of a relay checks the fencing token. Without: none does.
    TokenIsChecked,
    /// While a key has deferred rows it is served from there. Without: from the log.
    DeferredFirst,
    /// Which keys have such rows is read in the round's own snapshot. Without: a set in memory.
    BlockedKeysFromSnapshot,
    /// Ranges and deferred rows are recorded in one statement. Without: moved first, then recorded.
    RecordedWithMove,
    /// The same. Without: recorded first, then moved.
    MovedWithRecord,
    /// Nothing of a key is sent behind an unknown answer. Without: it is.
    NothingBehindUnknown,
    /// A partition is checked once its lock is held. Without: before.
    CheckUnderLock,
    /// No key is in two rounds that are in flight. Without: any row may be.
    DisjointRounds,
    /// To the last read, rows in flight are unpublished. Without: they count as published.
    InFlightIsUnpublished,
}

// What holds, with the numbers of the guarantees in the outbox's documentation.
const NO_LOSS: &str = "no committed message is lost"; // 1
const NOT_TRUNCATED: &str = "nothing is truncated unpublished"; // 1
const NO_PHANTOM: &str = "only committed messages are published"; // 1
const ONCE: &str = "once, without crash, takeover or lost answer"; // 2
const ORDER: &str = "first deliveries of a key are in order"; // 3
const NEVER_AGAIN: &str = "the owner never sends again what was recorded"; // 4
const NEVER_BACK: &str = "the cursor never goes back"; // 4
const DRAINED: &str = "at rest everything committed is out"; // 1 and 6

pub(super) fn guarantees(model: &Model) -> Guarantees<AppendOnly> {
    let (refusals, takeovers) = (model.expects(&[Refusal]), model.expects(&[Takeover]));
    Guarantees::<AppendOnly>::new()
        .always(NO_LOSS, |_, s| {
            let missing = s.outbox.broker.missing(s.outbox.committed());
            let above = s.outbox.above(s.cursor.watermark, missing);
            let kept = above.without(s.cursor.published).and(s.deferred.set());
            missing.without(kept).is_empty()
        })
        .always(NOT_TRUNCATED, |_, s| {
            let missing = s.outbox.broker.missing(s.truncated);
            missing.without(s.deferred.set()).is_empty()
        })
        .always(NO_PHANTOM, |_, s| !s.outbox.invented)
        .always(ONCE, |m, s| {
            s.had(&[Takeover, Crash, LostAnswer]) || !m.all().any(|m| s.outbox.broker.repeats(m))
        })
        .always(ORDER, |_, s| !s.outbox.broker.out_of_order)
        .always(NEVER_AGAIN, |_, s| !s.sent_again)
        .always(NEVER_BACK, |m, s| {
            m.form.merged_cursor || knows_everything(s)
        })
        .always(DRAINED, |m, s| {
            let mut relays = s.relays.values();
            let has_owner = relays.any(|relay| relay.known.token == s.cursor.token);
            !m.is_at_rest(s) || !has_owner || is_drained(s)
        })
        .reaches("everything is out", |m, s| {
            m.is_committed(&s.outbox) && is_drained(s)
        })
        .reaches("a hole fills behind what is published", |_, s| {
            let mut missing = s.outbox.broker.missing(s.outbox.committed()).iter();
            missing.any(|hole| {
                let position = s.outbox.position(hole);
                !s.outbox.above(position, s.cursor.published).is_empty()
            })
        })
        .reaches_if(refusals, "two are deferred", |_, s| {
            s.deferred.set().len() > 1
        })
        .reaches_if(takeovers, "a former owner sends", |m, s| {
            let is_excused = s.had(&[Crash, LostAnswer]);
            !is_excused && m.all().any(|m| s.outbox.broker.repeats(m))
        })
        .reaches_if(model.form.truncation, "a partition is truncated", |_, s| {
            !s.truncated.is_empty()
        })
}

/// Whether everything that the owner has written down is in the cursor's row.
fn knows_everything(state: &State) -> bool {
    let cursor = &state.cursor;
    let relays = state.relays.values();
    let mut owners = relays.filter(|relay| relay.known.token == cursor.token);
    owners.all(|Relay { known, .. }| {
        let missing = known.published.without(cursor.published);
        let has_all = state.outbox.above(cursor.watermark, missing).is_empty();
        cursor.watermark >= known.watermark && has_all
    })
}

fn is_drained(state: &State) -> bool {
    let is_settled = state.cursor.watermark == state.outbox.drawn;
    state.deferred.is_empty() && is_settled && state.outbox.is_out()
}

const TAKEOVER: Budget = &[Refusal, Takeover];

pub(crate) fn cases() -> Vec<Case> {
    Cases::<AppendOnly>::of("append-only")
        .small(KKL, &[Rollback])
        .small(KK, &[Rollback, Takeover, Crash])
        .small(KK, &[Rollback, Refusal, LostAnswer])
        .large(KKK, &[Takeover])
        .large(KKK, &[Rollback, Refusal, LostAnswer])
        .large(KK, &[Takeover, Crash, Refusal, LostAnswer])
        .without(Rule::LastRead, NO_LOSS, KK, &[Rollback])
        .without(Rule::ReadAfterSeen, NO_LOSS, KK, &[Rollback])
        .without(Rule::LimitFirst, NO_LOSS, KK, &[Rollback])
        .without(Rule::WaitForTheOpen, NO_LOSS, KK, &[Rollback])
        .without(Rule::IdBeforeDraw, NO_LOSS, KK, &[Rollback])
        .without(Rule::EveryHole, ORDER, KKK, &[Rollback])
        .without(Rule::HolesAtAll, DRAINED, KK, &[Rollback])
        .without(Rule::OneStatement, ORDER, KKK, &[Rollback])
        .without(Rule::TokenIsChecked, NEVER_AGAIN, KK, TAKEOVER)
        .without(Rule::DeferredFirst, ORDER, KKK, &[Refusal])
        .without(Rule::RecordedWithMove, NEVER_AGAIN, KK, TAKEOVER)
        .without(Rule::MovedWithRecord, NO_LOSS, KK, &[Refusal, Crash])
        .without(Rule::NothingBehindUnknown, ORDER, KK, &[LostAnswer])
        .form("by locks", |form| form.by_locks = true)
        .small(KKL, &[Rollback])
        .small(KK, &[Rollback, Takeover])
        .without(Rule::LastRead, NO_LOSS, KK, &[Rollback])
        .without(Rule::LimitFirst, NO_LOSS, KK, &[Rollback])
        .without(Rule::IdBeforeDraw, NO_LOSS, KK, &[Rollback])
        .form("merged cursor", |form| form.merged_cursor = true)
        .large(KK, &[Rollback, Takeover, Refusal])
        .form("two rounds in flight", |form| form.pipeline = true)
        .small(KKL, &[LostAnswer])
        .large(KKK, &[Rollback, Refusal, LostAnswer])
        .without(Rule::DisjointRounds, ORDER, KK, &[LostAnswer])
        .without(Rule::InFlightIsUnpublished, NO_LOSS, KK, &[LostAnswer])
        .form("truncation", |form| form.truncation = true)
        .small(KK, &[Rollback])
        .large(KKL, &[Rollback])
        .large(KK, &[Takeover, Refusal])
        .without(Rule::BlockedKeysFromSnapshot, ORDER, KK, TAKEOVER)
        .without(Rule::CheckUnderLock, NOT_TRUNCATED, KK, &[])
        .list()
}
