//! What holds, what protects it, and the cases that show both.

use crate::prelude::*;

use super::{Leases, Model, Stage};

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Completing checks the token. Without: any holder completes.
    CompletingIsFenced,
    /// Releasing checks the token, and frees no key that is done. Without: it frees any.
    ReleasingIsFenced,
    /// Renewing checks the token. Without: it prolongs whoever's lease there is.
    RenewingIsFenced,
    /// Each lease has a higher token. Without: the token stays.
    TokenRises,
    /// Tokens are not below the store's time. Without: they count from what the store knows.
    TimeIsTheFloor,
    /// The store's clock says whether a lease has ended. Without: any caller's.
    StoreClock,
    /// A lease ends long before an answer's lifetime. Without: they are one time.
    LeaseEnds,
    /// A holder does no work once its lease has ended. Without: it goes on.
    WorkStops,
    /// An answer is given after it was kept. Without: before.
    AnswerIsKeptFirst,
    /// The fingerprint is compared in every state. Without: only when the key is done.
    FingerprintInEveryState,
    /// The tenant is part of the key. Without: only the text.
    ScopeInKey,
}

// What holds, in the words of the crate's documentation.
const ONE_ANSWER: &str = "every answer to a key in its lifetime is the same";
const ONE_HOLDER: &str = "a living lease is never taken over";
const TOKENS_GROW: &str = "each lease of a key has a higher token, whatever the store forgot";
const NO_LATE_WORK: &str = "no work is done under a lease that has ended";
const OWN_RENEWAL: &str = "a lease is prolonged by its holder only";
const OWN_TENANT: &str = "two tenants never meet";
const OWN_REQUEST: &str = "a key belongs to one request until it is released";
const ANSWERED: &str = "at rest every request is answered";

pub(super) fn guarantees(model: &Model) -> Guarantees<Leases> {
    let (stalls, same) = (model.expects(&[Stall]), !model.form.other_body);
    Guarantees::<Leases>::new()
        // A store that forgets its answers is the one excuse.
        .always(ONE_ANSWER, |_, s| {
            s.had(&[ServerCrash]) || !s.another_answer
        })
        .always(ONE_HOLDER, |_, s| !s.two_holders)
        .always(TOKENS_GROW, |_, s| !s.token_regressed)
        .always(NO_LATE_WORK, |_, s| !s.late_work)
        .always(OWN_RENEWAL, |_, s| !s.foreign_renewal)
        .always(OWN_TENANT, |m, s| {
            m.answered(s).all(|(asked, by)| asked.key() == by.key())
        })
        .always(OWN_REQUEST, |m, s| {
            let mut answered = m.answered(s);
            !s.another_body && answered.all(|(asked, by)| m.body(asked) == m.body(by))
        })
        .always(ANSWERED, |m, s| {
            let is_over = |stage| matches!(stage, Stage::Answered | Stage::Mismatch);
            !m.is_at_rest(s) || m.all().all(|r| is_over(s.requests[r].stage))
        })
        .reaches_if(same, "a request is answered again", |_, s| s.replayed)
        .reaches_if(stalls && same, "a key is taken over", |_, s| s.taken_over)
        .reaches_if(stalls && same, "a former holder is refused", |_, s| {
            s.fenced
        })
        .reaches_if(!same, "a key belongs to another", |m, s| {
            m.all().any(|r| s.requests[r].stage == Stage::Mismatch)
        })
}

pub(crate) fn cases() -> Vec<Case> {
    Cases::<Leases>::of("leases")
        .small(KK, &[Stall, Stall, Crash, LostAnswer, Failure])
        .small(KK, &[Stall, ServerCrash, LostAnswer, Expiry])
        .small(KKL, &[Stall, Crash, Failure])
        .large(KKK, &[Stall, Stall, Crash, LostAnswer, Failure, Expiry])
        .large(KKK, &[Stall, Crash, ServerCrash, ServerCrash])
        .without(Rule::CompletingIsFenced, ONE_ANSWER, KKK, &[Stall])
        .without(Rule::ReleasingIsFenced, ONE_ANSWER, KKK, &[Stall, Failure])
        .without(Rule::RenewingIsFenced, OWN_RENEWAL, KK, &[Stall])
        .without(Rule::TokenRises, TOKENS_GROW, KK, &[Stall])
        .without(Rule::TimeIsTheFloor, TOKENS_GROW, KK, &[ServerCrash])
        .without(Rule::StoreClock, ONE_HOLDER, KK, &[])
        .without(Rule::LeaseEnds, ANSWERED, KK, &[Crash])
        .without(Rule::WorkStops, NO_LATE_WORK, KK, &[Stall])
        .without(Rule::AnswerIsKeptFirst, ONE_ANSWER, KK, &[Crash])
        .without(Rule::ScopeInKey, OWN_TENANT, KKL, &[])
        .form("another body", |form| form.other_body = true)
        .small(KKK, &[Stall, Crash, Failure])
        .without(Rule::FingerprintInEveryState, OWN_REQUEST, KK, &[Crash])
        .list()
}
