//! What holds, what protects it, and the cases that show both.

use crate::{
    message::Message::{K1, K2, K3, L1},
    prelude::*,
};

use super::{Inbox, Model, State, Whose};

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Processed record and effect are one transaction. Without: the record is committed first.
    EffectWithRecord,
    /// The same. Without: the effect is committed first.
    RecordWithEffect,
    /// A message is known by its id. Without: by where it lies.
    IdentityOfMessage,
    /// A processed record is unique. Without: it is looked for, then written.
    UniqueRecord,
    /// Admission waits for a record that another transaction writes. Without: it is a duplicate.
    WaitsForOpenRecord,
    /// A batch writes its records in the order of positions. Without: in any.
    RecordsInOrder,
    /// One message of a key runs at a time. Without: the next one starts beside it.
    OneFlightPerKey,
    /// A message that failed is the next of its key again. Without: the others of its key go first.
    FailedGoesFirst,
    /// A blocked key waits. Without: only its first message does.
    BlockedKeyWaits,
    /// A message that cannot be handled blocks its key. Without: the partition.
    BlocksItsKeyOnly,
    /// A commit whose answer was lost is tried again. Without: it counts as done.
    UnknownIsTriedAgain,
    /// A message is finished once its transaction is committed. Without: when it was handed out.
    FinishedWhenCommitted,
    /// Offsets go up to the lowest unfinished message. Without: behind the highest finished one.
    LowestUnfinished,
    /// The broker refuses offsets of former holders and lower ones. Without: it takes them.
    OffsetsOnlyForward,
    /// The in-flight window is bounded. Without: it is not.
    WindowIsBounded,
    /// A batch that waits for a record too long goes on one by one. Without: it waits.
    LockTimeout,
    /// The server ends the transaction of a stopped process. Without: it stays open for ever.
    ServerEndsIdle,
    /// Records at or above the committed offset are kept. Without: they are pruned like others.
    KeepsUncommitted,
    /// The position of a redelivery is noted in the record. Without: only the first position.
    RedeliveriesAreNoted,
    /// Retention outlasts everything that a former holder has in hand. Without: it is shorter.
    RetentionOutlastsTheLate,
}

// What holds, as the inbox's documentation states it.
const ONCE: &str = "an effect is made at most once";
const ORDER: &str = "effects of a key are in order";
const OFFSET: &str = "a committed offset has its effects";
const FORWARD: &str = "offsets never go back";
const BOUNDED: &str = "the in-flight window is bounded";
const NO_DEADLOCK: &str = "transactions never wait for each other";
const FLOW: &str = "at rest the other key is done";
const DRAINED: &str = "at rest all is done but what is blocked";

pub(super) fn guarantees(model: &Model) -> Guarantees<Inbox> {
    let (has_poison, rebalances) = (model.form.poison.is_some(), model.expects(&[Rebalance]));
    let may_repeat = model.expects(&[Rebalance, Crash, LostCommit]);
    Guarantees::<Inbox>::new()
        .always(ONCE, |m, s| !m.all().any(|m| s.effects.repeats(m)))
        .always(ORDER, |_, s| !s.effects.out_of_order)
        .always(OFFSET, |m, s| {
            (0..s.offset).all(|o| s.effects.has(m.message(o)))
        })
        .always(FORWARD, |_, s| !s.offset_went_back)
        .always(BOUNDED, |m, s| {
            s.workers.values().all(|worker| {
                let end = worker.finished.lowest_unfinished(m.end()) + m.window();
                worker.finished.iter().all(|offset| offset < end)
            })
        })
        .always(NO_DEADLOCK, |m, s| {
            let blocker = |whose| match whose {
                Whose::Of(name, lane) => m.waits_for(s, name, lane),
                Whose::Nobodys => None,
            };
            let mut all = s.flights().map(|(whose, _)| whose);
            !all.any(|whose| blocker(whose).and_then(blocker) == Some(whose))
        })
        .always(FLOW, |m, s| {
            let mut of_l = m.all().filter(|m| m.key() == Key::L);
            !m.is_at_rest(s) || of_l.all(|l| s.effects.has(l) || m.is_frozen(s, l))
        })
        .always(DRAINED, |m, s| {
            m.form.impatient || !m.is_at_rest(s) || m.is_done(s)
        })
        .reaches_if(!has_poison, "all is done", |m, s| {
            s.offset == m.end() && m.is_done(s)
        })
        .reaches_if(rebalances, "a zombie is first", |_, s| s.zombie_was_first)
        .reaches_if(may_repeat, "a duplicate comes", |_, s| s.has_duplicate)
        .reaches_if(has_poison, "a key is blocked, the other flows", |m, s| {
            m.is_at_rest(s) && m.is_done(s)
        })
        .reaches_if(model.form.prunes, "all records are pruned", |m, s| {
            s.offset == m.end() && s.records.iter().all(|record| !record.exists)
        })
}

impl Model {
    /// Whether a stopped process holds a message's record.
    fn is_frozen(&self, state: &State, message: Message) -> bool {
        state.flights().any(|(whose, flight)| {
            let mut fresh = flight.fresh.iter();
            let is_frozen = matches!(whose, Whose::Of(name, _) if state.workers[name].is_frozen);
            is_frozen && fresh.any(|offset| self.message(offset) == message)
        })
    }

    /// All have their effects but a poisonous one and those behind it; all below is committed.
    fn is_done(&self, state: &State) -> bool {
        let poison = (0..self.end()).find(|o| self.is_poison(*o));
        let end = poison.unwrap_or(self.end());
        let is_held = |offset: u8| {
            let of_key = |poison| self.message(poison).key() == self.message(offset).key();
            offset >= end && poison.is_some_and(of_key)
        };
        let mut others = (0..self.end()).filter(|offset| !is_held(*offset));
        state.offset == end && others.all(|offset| state.effects.has(self.message(offset)))
    }
}

const KL: Log = &[K1, L1];
const LK: Log = &[L1, K1];
const KLK: Log = &[K1, L1, K2];
const KLKK: Log = &[K1, L1, K2, K3];
/// A relay sent the first two twice.
const TWICE: Log = &[K1, K2, K1, K2];

pub(crate) fn cases() -> Vec<Case> {
    Cases::<Inbox>::of("inbox")
        .small(KLK, &[Rebalance, Failure, Crash])
        .small(KKL, &[Rebalance, LostCommit])
        .large(KLKK, &[Rebalance, Failure, Crash, LostCommit])
        .without(Rule::EffectWithRecord, OFFSET, KK, &[Crash])
        .without(Rule::RecordWithEffect, ONCE, KK, &[Crash])
        .without(Rule::IdentityOfMessage, ONCE, TWICE, &[])
        .without(Rule::UniqueRecord, ONCE, KK, &[Rebalance])
        .without(Rule::WaitsForOpenRecord, OFFSET, KK, &[Rebalance, Failure])
        .without(Rule::OneFlightPerKey, ORDER, TWICE, &[Failure])
        .without(Rule::FailedGoesFirst, ORDER, KK, &[Failure])
        .without(Rule::UnknownIsTriedAgain, OFFSET, KK, &[LostCommit])
        .without(Rule::FinishedWhenCommitted, OFFSET, KK, &[])
        .without(Rule::LowestUnfinished, OFFSET, KL, &[])
        .without(Rule::OffsetsOnlyForward, FORWARD, KK, &[Rebalance])
        .form("batches", |f| f.batches = true)
        .small(KLK, &[Rebalance, Failure, Crash, LostCommit])
        .small(KLK, &[Rebalance, Freeze])
        .large(KLKK, &[Rebalance, Failure, Crash, LostCommit])
        .without(Rule::RecordsInOrder, NO_DEADLOCK, KL, &[Rebalance])
        .without(Rule::ServerEndsIdle, DRAINED, LK, &[Rebalance, Freeze])
        .form("pruned", |f| f.prunes = true)
        .small(TWICE, &[Rebalance, Crash])
        .large(TWICE, &[Rebalance, Rebalance, Failure, Crash, LostCommit])
        .without(Rule::KeepsUncommitted, ONCE, KK, &[Crash])
        .without(Rule::RedeliveriesAreNoted, ONCE, TWICE, &[Crash])
        .without(Rule::RetentionOutlastsTheLate, ONCE, KK, &[Rebalance])
        .form("pruned, batches", |f| (f.prunes, f.batches) = (true, true))
        .small(TWICE, &[Rebalance, Failure])
        .large(TWICE, &[Rebalance, Rebalance, Failure, Crash, LostCommit])
        .form("former commits", |f| {
            (f.former_commits, f.batches) = (true, true);
        })
        .small(KLK, &[Rebalance, Failure, Crash])
        .form("poison", |f| f.poison = Some(K1))
        .without(Rule::BlockedKeyWaits, ORDER, KK, &[])
        .without(Rule::BlocksItsKeyOnly, FLOW, KL, &[])
        .form("poison, batches", |f| {
            (f.poison, f.window, f.batches) = (Some(K1), 2, true);
        })
        .small(KLK, &[Rebalance, Crash])
        .form("impatient", |f| (f.impatient, f.batches) = (true, true))
        .small(KLK, &[Rebalance, Freeze])
        .without(Rule::LockTimeout, FLOW, KL, &[Rebalance, Freeze])
        .form("window of 2", |f| f.window = 2)
        .small(KLK, &[Rebalance, Rebalance])
        .form("window of 1", |f| f.window = 1)
        .without(Rule::WindowIsBounded, BOUNDED, KLK, &[])
        .list()
}
