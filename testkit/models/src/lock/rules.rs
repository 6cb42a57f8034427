//! What holds, what protects it, and the cases that show both.

use crate::prelude::*;

use super::{At, Lock, Model, State};

/// A protective rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// Whoever is written to refuses tokens below the newest one. Without: any holder may write.
    TokenIsChecked,
    /// The check keeps the row of the fence locked until the commit. Without: it reads it.
    CheckLocks,
    /// A token is drawn in the turn in which it is granted. Without: somebody may come in between.
    DrawInTurn,
    /// A deadline counts from before the request. Without: from the answer.
    DeadlineFromRequest,
    /// The deadline is looked at before each poll. Without: work goes on.
    CheckedBeforePoll,
    /// The lease ends on the client's side before its release is sent. Without: with the answer.
    EndsBeforeRelease,
    /// A release frees the lock of its own attempt. Without: whoever has it.
    ReleaseByOwner,
    /// After a lost answer the same owner asks again. Without: a new one.
    SameOwnerAgain,
    /// A release of an attempt that was given up comes behind its requests. Without: at any time.
    ReleaseBehindRequest,
    /// A token is drawn above what a refused check has told. Without: above the store's last one.
    AboveTheFloor,
}

// What holds, with the words of the documentation of `dlock`.
const ONE_POLLS: &str = "no holder is polled beside a newer one";
const RISING: &str = "tokens grow with each grant";
const REFUSED: &str = "no former holder's write follows a newer one's";
const NO_LOSS: &str = "no write is lost";
const OWN_RELEASE: &str = "a release frees no other owner's lock";
const NOT_ONES_OWN: &str = "nobody waits for a lock of their own";
const ABOVE: &str = "a token is above what its holder was told";
const FREE: &str = "at rest the lock is free";
const WRITTEN: &str = "at rest everybody has written";

pub(super) fn guarantees(model: &Model) -> Guarantees<Lock> {
    let (stalls, flushes) = (model.expects(&[Stall]), model.expects(&[ServerCrash]));
    Guarantees::<Lock>::new()
        .always(ONE_POLLS, |_, s| {
            // A store that has forgotten a lock grants it again.
            !s.polled_beside || s.had(&[ServerCrash])
        })
        .always(RISING, |_, s| !s.token_fell)
        .always(REFUSED, |_, s| !s.stale_write)
        .always(NO_LOSS, |_, s| !s.lost_write)
        .always(OWN_RELEASE, |_, s| !s.freed_other)
        .always(NOT_ONES_OWN, |_, s| {
            !Name::BOTH.iter().any(|name| waits_for_own(s, *name))
        })
        .always(ABOVE, |_, s| !s.below_told)
        .always(FREE, |m, s| !m.is_at_rest(s) || !s.row.is_held())
        .always(WRITTEN, |m, s| {
            let mut clients = s.clients.values();
            !m.is_at_rest(s) || clients.all(|c| c.has_written || c.is_gone)
        })
        .reaches("both have written", |_, s| s.version == 2)
        .reaches_if(stalls, "a token is never used", |_, s| s.fence < s.newest)
        .reaches_if(flushes, "a holder is refused", |_, s| s.refused)
}

/// Whether an earlier attempt of a client, which nobody releases, is in its way.
fn waits_for_own(state: &State, name: Name) -> bool {
    let client = &state.clients[name];
    let is_own = |(owner, attempt)| owner == name && attempt != client.attempt;
    client.at == At::Asking
        && !client.is_gone
        && client.give_back.is_empty()
        && state.row.is_held()
        && state.row.owner.is_some_and(is_own)
}

pub(crate) fn cases() -> Vec<Case> {
    Cases::<Lock>::of("lock")
        .small(KK, &[Stall, Stall, LostAnswer, Crash])
        .small(KK, &[Stall, LostAnswer, Release])
        .small(KK, &[Stall, ServerCrash])
        .large(KK, &[Stall, Stall, Stall, LostAnswer, LostAnswer, Crash])
        .large(KK, &[Stall, Stall, ServerCrash, LostAnswer, Release])
        .without(Rule::TokenIsChecked, REFUSED, KK, &[Stall])
        .without(Rule::CheckLocks, NO_LOSS, KK, &[Stall])
        .without(Rule::DrawInTurn, RISING, KK, &[])
        .without(Rule::DeadlineFromRequest, ONE_POLLS, KK, &[Stall])
        .without(Rule::CheckedBeforePoll, ONE_POLLS, KK, &[Stall])
        .without(Rule::EndsBeforeRelease, ONE_POLLS, KK, &[])
        .without(Rule::ReleaseByOwner, OWN_RELEASE, KK, &[LostAnswer])
        .without(Rule::SameOwnerAgain, NOT_ONES_OWN, KK, &[LostAnswer])
        .without(Rule::ReleaseBehindRequest, FREE, KK, &[Release])
        .without(Rule::AboveTheFloor, ABOVE, KK, &[Stall, ServerCrash])
        .list()
}
