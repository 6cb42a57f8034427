//! The cases of this model.

use crate::{
    case::{Case, Size},
    message::Message::{self, K1, K2, K3, L1},
};

use super::{
    FirstForm,
    bounds::{Bounds, Mishaps},
    guarantees as g,
    rule::Rule,
};

const MODEL: &str = "first-form";

const KK: &[Message] = &[K1, K2];
const KKK: &[Message] = &[K1, K2, K3];
const KKL: &[Message] = &[K1, K2, L1];

const NONE: Mishaps = Mishaps::NONE;

/// All messages, fetched at once.
const fn bounds(messages: &'static [Message], mishaps: Mishaps) -> Bounds {
    Bounds {
        messages,
        row_locks: false,
        limit: messages.len(),
        mishaps,
    }
}

const fn row_locks(messages: &'static [Message], mishaps: Mishaps) -> Bounds {
    let mut bounds = bounds(messages, mishaps);
    bounds.row_locks = true;
    bounds
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = small();
    cases.extend(large());
    cases.extend(removed().into_iter().map(|(rule, breaks, bounds)| {
        let without = Some(rule);
        Case::removed(MODEL, rule, "", breaks, FirstForm { bounds, without })
    }));
    cases
}

fn holds(name: &str, size: Size, bounds: Bounds) -> Case {
    let without = None;
    Case::holds(MODEL, name, size, FirstForm { bounds, without })
}

fn small() -> Vec<Case> {
    let late_owner = NONE.stalls(1).rollbacks(1).lost_commits(1);
    let bad_broker = NONE.refusals(1).lost_answers(1).releases(1);
    let crash = NONE.refusals(2).crashes(1);
    let server_crash = NONE.stalls(1).refusals(1).server_crashes(1);
    let stopped = NONE.freezes(1).rollbacks(1);
    let mut part = bounds(KKK, crash);
    part.limit = 2;
    [
        ("late owner", bounds(KKL, late_owner)),
        ("refusal, lost answer, release", bounds(KKL, bad_broker)),
        ("two refusals, crash, rounds in parts", part),
        (
            "late owner, refusal, server crash",
            bounds(KK, server_crash),
        ),
        ("row locks, stopped process", row_locks(KKL, stopped)),
    ]
    .map(|(name, bounds)| holds(name, Size::Small, bounds))
    .into()
}

fn large() -> Vec<Case> {
    let all = NONE.stalls(1).refusals(1).lost_answers(1);
    let server_crash = NONE.stalls(1).refusals(1).server_crashes(1);
    [
        (
            "late owner, refusal, lost answer, crash",
            bounds(KK, all.crashes(1).lost_commits(1)),
        ),
        ("late owner, refusal, lost answer", bounds(KKL, all)),
        (
            "late owner, refusal, server crash",
            bounds(KKK, server_crash),
        ),
    ]
    .map(|(name, bounds)| holds(name, Size::Large, bounds))
    .into()
}

fn removed() -> [(Rule, &'static str, Bounds); 20] {
    let late = NONE.stalls(1);
    let refusal = NONE.refusals(1);
    let crash = NONE.crashes(1);
    let lost = NONE.lost_answers(1);
    [
        (Rule::CommittedRows, g::NO_PHANTOM, bounds(KK, NONE)),
        (Rule::VisibleRows, g::DRAINED, bounds(KK, NONE)),
        (Rule::OneSnapshot, g::ORDER, bounds(KK, late.refusals(1))),
        (Rule::PublishThenRecord, g::NO_LOSS, bounds(KK, crash)),
        (Rule::MoveAtOnce, g::NO_LOSS, bounds(KK, crash.refusals(1))),
        (Rule::StoppedKeyWaits, g::ORDER, bounds(KK, refusal)),
        (Rule::NothingBehindRefused, g::ORDER, bounds(KK, refusal)),
        (Rule::NothingBehindUnknown, g::ORDER, bounds(KK, lost)),
        (
            Rule::RefusalWaitsItsTurn,
            g::ORDER,
            bounds(KK, lost.refusals(1)),
        ),
        (Rule::OneStopPerKey, g::ORDER, bounds(KKK, NONE.refusals(2))),
        (Rule::UnknownMovesNothing, g::OWN_REFUSAL, bounds(KK, lost)),
        (Rule::StopsItsKeyOnly, g::OWN_REFUSAL, bounds(KKL, refusal)),
        (Rule::FenceIsChecked, g::NEVER_AGAIN, bounds(KK, late)),
        (Rule::ShareLock, g::REFUSED_WRITES, bounds(KK, late)),
        (Rule::FenceRises, g::ONE_HOLDER, bounds(KK, late)),
        (
            Rule::LeaseOnDisk,
            g::ONE_HOLDER,
            bounds(KK, NONE.server_crashes(1)),
        ),
        (Rule::DatabaseClock, g::ONCE, bounds(KK, NONE)),
        (
            Rule::ReleaseBetweenRounds,
            g::ONCE,
            bounds(KK, NONE.releases(1)),
        ),
        (
            Rule::ServerEndsIdle,
            g::DRAINED,
            bounds(KK, NONE.freezes(1)),
        ),
        (Rule::DrawUnderLock, g::COMMIT_ORDER, row_locks(KK, NONE)),
    ]
}
