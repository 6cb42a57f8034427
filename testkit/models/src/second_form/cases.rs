//! The cases of this model.

use crate::{
    case::{Case, Size},
    message::Message::{self, K1, K2, K3, L1},
};

use super::{
    SecondForm,
    bounds::{Bounds, Cursor, Mishaps, Settled},
    guarantees as g,
    rule::Rule,
};

const MODEL: &str = "second-form";

const KK: &[Message] = &[K1, K2];
const KKK: &[Message] = &[K1, K2, K3];
const KKL: &[Message] = &[K1, K2, L1];

const NONE: Mishaps = Mishaps::NONE;

const fn bounds(messages: &'static [Message], mishaps: Mishaps) -> Bounds {
    Bounds {
        messages,
        settled: Settled::ByIds,
        cursor: Cursor::Whole,
        pipeline: false,
        truncation: false,
        mishaps,
    }
}

impl Bounds {
    const fn by_locks(mut self) -> Self {
        self.settled = Settled::ByLocks;
        self
    }

    const fn merged(mut self) -> Self {
        self.cursor = Cursor::Merged;
        self
    }

    const fn pipeline(mut self) -> Self {
        self.pipeline = true;
        self
    }

    const fn truncated(mut self) -> Self {
        self.truncation = true;
        self
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = small();
    cases.extend(large());
    cases.extend(removed().into_iter().map(|(rule, breaks, bounds)| {
        let form = match bounds.settled {
            Settled::ByIds => "",
            Settled::ByLocks => " by locks",
        };
        let without = Some(rule);
        Case::removed(MODEL, rule, form, breaks, SecondForm { bounds, without })
    }));
    cases
}

fn holds(name: &str, size: Size, bounds: Bounds) -> Case {
    let without = None;
    Case::holds(MODEL, name, size, SecondForm { bounds, without })
}

fn small() -> Vec<Case> {
    let rollback = NONE.rollbacks(1);
    let takeover = rollback.takeovers(1);
    let bad_broker = rollback.refusals(1).lost_answers(1);
    [
        ("rollback, two keys", bounds(KKL, rollback)),
        ("takeover, crash", bounds(KK, takeover.crashes(1))),
        ("refusal, lost answer", bounds(KK, bad_broker)),
        ("truncation", bounds(KK, rollback).truncated()),
        ("by locks", bounds(KKL, rollback).by_locks()),
        ("by locks, takeover", bounds(KK, takeover).by_locks()),
        (
            "two rounds in flight",
            bounds(KKL, NONE.lost_answers(1)).pipeline(),
        ),
    ]
    .map(|(name, bounds)| holds(name, Size::Small, bounds))
    .into()
}

fn large() -> Vec<Case> {
    let rollback = NONE.rollbacks(1);
    let takeover = NONE.takeovers(1);
    let bad_broker = NONE.refusals(1).lost_answers(1);
    [
        ("takeover", bounds(KKK, takeover)),
        ("truncation, two keys", bounds(KKL, rollback).truncated()),
        ("refusal, lost answer", bounds(KKK, bad_broker.rollbacks(1))),
        (
            "takeover, refusal, truncation",
            bounds(KK, takeover.refusals(1)).truncated(),
        ),
        (
            "takeover, crash, refusal, lost answer",
            bounds(KK, bad_broker.takeovers(1).crashes(1)),
        ),
        (
            "merged cursor, takeover, refusal",
            bounds(KK, takeover.refusals(1).rollbacks(1)).merged(),
        ),
        (
            "two rounds in flight, refusal, lost answer",
            bounds(KKK, bad_broker.rollbacks(1)).pipeline(),
        ),
    ]
    .map(|(name, bounds)| holds(name, Size::Large, bounds))
    .into()
}

fn removed() -> [(Rule, &'static str, Bounds); 20] {
    let ids = |messages, mishaps| bounds(messages, mishaps);
    let locks = |messages, mishaps| bounds(messages, mishaps).by_locks();
    let rounds = |messages, mishaps| bounds(messages, mishaps).pipeline();
    let rollback = NONE.rollbacks(1);
    let refusal = NONE.refusals(1);
    let lost = NONE.lost_answers(1);
    let takeover = refusal.takeovers(1);
    [
        (Rule::LastRead, g::NO_LOSS, ids(KK, rollback)),
        (Rule::ReadAfterSeen, g::NO_LOSS, ids(KK, rollback)),
        (Rule::LimitFirst, g::NO_LOSS, ids(KK, rollback)),
        (Rule::WaitForTheOpen, g::NO_LOSS, ids(KK, rollback)),
        (Rule::IdBeforeDraw, g::NO_LOSS, ids(KK, rollback)),
        (Rule::LastRead, g::NO_LOSS, locks(KK, rollback)),
        (Rule::LimitFirst, g::NO_LOSS, locks(KK, rollback)),
        (Rule::IdBeforeDraw, g::NO_LOSS, locks(KK, rollback)),
        (Rule::EveryHole, g::ORDER, ids(KKK, rollback)),
        (Rule::HolesAtAll, g::DRAINED, ids(KK, rollback)),
        (Rule::OneStatement, g::ORDER, ids(KKK, rollback)),
        (Rule::FenceIsChecked, g::NEVER_AGAIN, ids(KK, takeover)),
        (Rule::SideTableFirst, g::ORDER, ids(KKK, refusal)),
        (
            Rule::StoppedKeysFromSnapshot,
            g::ORDER,
            ids(KK, takeover).truncated(),
        ),
        (Rule::RecordedWithMove, g::NEVER_AGAIN, ids(KK, takeover)),
        (
            Rule::MovedWithRecord,
            g::NO_LOSS,
            ids(KK, refusal.crashes(1)),
        ),
        (Rule::NothingBehindUnknown, g::ORDER, ids(KK, lost)),
        (
            Rule::CheckUnderLock,
            g::NOT_TRUNCATED,
            ids(KK, NONE).truncated(),
        ),
        (Rule::DisjointRounds, g::ORDER, rounds(KK, lost)),
        (Rule::InFlightIsUnpublished, g::NO_LOSS, rounds(KK, lost)),
    ]
}
