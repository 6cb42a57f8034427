//! What holds, what protects it, and the cases that show both.

use crate::prelude::*;

use super::{Model, Records, Stage};

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// The record commits with the effect. Without: in a transaction behind it.
    RecordWithEffect,
    /// The unique key decides when the record is inserted. Without: the lock is trusted.
    UniqueKeyDecides,
    /// A request that loses at the key is rolled back. Without: its effect is committed.
    LoserRollsBack,
    /// A lock ends with its transaction. Without: with its session.
    TransactionLock,
    /// A commit without an answer is begun again. Without: it is taken for done.
    BeginAgain,
    /// The tenant is part of the key. Without: only the text.
    ScopeInKey,
    /// The fingerprint is compared. Without: the key alone decides.
    FingerprintIsChecked,
    /// The sweeper deletes expired records. Without: any.
    SweepsExpired,
    /// An expired record is replaced by the request that is fresh. Without: it stays in the way.
    ReplacesExpired,
}

// What holds, in the words of the crate's documentation.
const ONE_EFFECT: &str = "the same request is one effect in its lifetime";
const ONE_ANSWER: &str = "every answer to a key in its lifetime is the same";
const NO_PHANTOM: &str = "an answer is given only for an effect that is committed";
const OWN_TENANT: &str = "two tenants never meet";
const OWN_REQUEST: &str = "no request gets the answer of another";
const ANSWERED: &str = "at rest every request is answered";

pub(super) fn guarantees(model: &Model) -> Guarantees<Records> {
    let is_contended = model.messages.len() > 1;
    let races = is_contended && !model.form.other_body;
    Guarantees::<Records>::new()
        .always(ONE_EFFECT, |_, s| {
            s.effects.values().all(|times| *times < 2)
        })
        .always(ONE_ANSWER, |_, s| !s.another_answer)
        .always(NO_PHANTOM, |_, s| !s.phantom)
        .always(OWN_TENANT, |m, s| {
            m.answered(s).all(|(asked, by)| asked.key() == by.key())
        })
        .always(OWN_REQUEST, |m, s| {
            m.answered(s).all(|(asked, by)| m.body(asked) == m.body(by))
        })
        .always(ANSWERED, |m, s| {
            let is_over = |stage| matches!(stage, Stage::Answered | Stage::Mismatch);
            !m.is_at_rest(s) || m.all().all(|r| is_over(s.requests[r].stage))
        })
        .reaches_if(races, "a request is answered again", |_, s| s.replayed)
        .reaches_if(races && !model.form.no_locks, "a key is running", |_, s| {
            s.told_running
        })
        .reaches_if(races, "a request loses at the unique key", |_, s| {
            s.lost_at_the_key
        })
        .reaches_if(model.form.other_body, "a key belongs to another", |m, s| {
            m.all().any(|r| s.requests[r].stage == Stage::Mismatch)
        })
}

pub(crate) fn cases() -> Vec<Case> {
    Cases::<Records>::of("records")
        .small(KKL, &[Crash, Rollback, LostCommit])
        .small(KK, &[Crash, LostCommit, LostCommit, Expiry])
        .large(KKK, &[Crash, Rollback, LostCommit, LostCommit, Expiry])
        .without(Rule::RecordWithEffect, ONE_EFFECT, KK, &[Crash])
        .without(Rule::UniqueKeyDecides, ONE_EFFECT, KK, &[])
        .without(Rule::LoserRollsBack, ONE_EFFECT, KK, &[])
        .without(Rule::TransactionLock, ANSWERED, KK, &[Crash])
        .without(Rule::BeginAgain, NO_PHANTOM, KK, &[LostCommit])
        .without(Rule::ScopeInKey, OWN_TENANT, KKL, &[])
        .without(Rule::SweepsExpired, ONE_EFFECT, KK, &[])
        .without(Rule::ReplacesExpired, ANSWERED, KK, &[Expiry])
        .form("no locks", |form| form.no_locks = true)
        .small(KKL, &[Crash, LostCommit])
        .small(KK, &[Rollback, LostCommit, Expiry])
        .without(Rule::UniqueKeyDecides, ONE_EFFECT, KK, &[])
        .form("another body", |form| form.other_body = true)
        .small(KK, &[Crash, Rollback, LostCommit])
        .without(Rule::FingerprintIsChecked, OWN_REQUEST, KK, &[])
        .list()
}
