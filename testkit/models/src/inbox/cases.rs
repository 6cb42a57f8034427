//! The cases of this model.

use crate::{
    case::{Case, Size},
    message::Message::{self, K1, K2, K3, L1},
};

use super::{
    Inbox,
    bounds::{Bounds, Mishaps},
    guarantees as g,
    rule::Rule,
};

const MODEL: &str = "inbox";

const KK: &[Message] = &[K1, K2];
const KL: &[Message] = &[K1, L1];
const LK: &[Message] = &[L1, K1];
const KKL: &[Message] = &[K1, K2, L1];
const KLK: &[Message] = &[K1, L1, K2];
const KLKK: &[Message] = &[K1, L1, K2, K3];
/// A relay sent the first two twice.
const COPIES: &[Message] = &[K1, K2, K1, K2];

const NONE: Mishaps = Mishaps::NONE;

/// One message of a key in a transaction.
const fn lanes(log: &'static [Message], mishaps: Mishaps) -> Bounds {
    Bounds {
        log,
        batches: false,
        span: 8,
        poison: None,
        retention: false,
        former_commits: false,
        server_ends: true,
        mishaps,
    }
}

/// All free messages in a transaction.
const fn batches(log: &'static [Message], mishaps: Mishaps) -> Bounds {
    let mut bounds = lanes(log, mishaps);
    bounds.batches = true;
    bounds
}

impl Bounds {
    const fn poisoned(mut self, message: Message) -> Self {
        self.poison = Some(message);
        self
    }

    const fn forgetting(mut self) -> Self {
        self.retention = true;
        self
    }

    const fn span(mut self, span: u8) -> Self {
        self.span = span;
        self
    }

    const fn with_former_commits(mut self) -> Self {
        self.former_commits = true;
        self
    }

    const fn impatient(mut self) -> Self {
        self.server_ends = false;
        self
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = small();
    cases.extend(large());
    cases.extend(removed().into_iter().map(|(rule, breaks, bounds)| {
        let without = Some(rule);
        Case::removed(MODEL, rule, "", breaks, Inbox { bounds, without })
    }));
    cases
}

fn holds(name: &str, size: Size, bounds: Bounds) -> Case {
    let without = None;
    Case::holds(MODEL, name, size, Inbox { bounds, without })
}

fn small() -> Vec<Case> {
    let zombie = NONE.rebalances(1);
    let stopped = zombie.freezes(1);
    let all = zombie.failures(1).crashes(1).lost_commits(1);
    [
        (
            "zombie, failure, crash",
            lanes(KLK, zombie.failures(1).crashes(1)),
        ),
        ("zombie, lost commit", lanes(KKL, zombie.lost_commits(1))),
        ("batches, all of it", batches(KLK, all)),
        ("copies", lanes(COPIES, zombie.crashes(1)).forgetting()),
        (
            "batches of copies",
            batches(COPIES, zombie.failures(1)).forgetting(),
        ),
        (
            "offsets of a former holder",
            batches(KLK, zombie.failures(1).crashes(1)).with_former_commits(),
        ),
        (
            "poison",
            batches(KLK, zombie.crashes(1)).poisoned(K1).span(2),
        ),
        ("stopped process", batches(KLK, stopped)),
        (
            "stopped process, impatient",
            batches(KLK, stopped).impatient(),
        ),
        (
            "back and forth, bounded span",
            lanes(KLK, NONE.rebalances(2)).span(2),
        ),
    ]
    .map(|(name, bounds)| holds(name, Size::Small, bounds))
    .into()
}

fn large() -> Vec<Case> {
    let all = NONE.rebalances(1).failures(1).crashes(1).lost_commits(1);
    [
        ("all of it", lanes(KLKK, all)),
        ("batches, all of it", batches(KLKK, all)),
        (
            "copies, all of it",
            batches(COPIES, all.rebalances(2)).forgetting(),
        ),
        (
            "copies, back and forth",
            lanes(COPIES, all.rebalances(2)).forgetting(),
        ),
    ]
    .map(|(name, bounds)| holds(name, Size::Large, bounds))
    .into()
}

fn removed() -> [(Rule, &'static str, Bounds); 20] {
    let crash = NONE.crashes(1);
    let zombie = NONE.rebalances(1);
    let failure = NONE.failures(1);
    let stopped = zombie.freezes(1);
    let lost = NONE.lost_commits(1);
    [
        (Rule::EffectWithMark, g::OFFSET, lanes(KK, crash)),
        (Rule::MarkWithEffect, g::ONCE, lanes(KK, crash)),
        (Rule::IdentityOfMessage, g::ONCE, lanes(COPIES, NONE)),
        (Rule::UniqueMark, g::ONCE, lanes(KK, zombie)),
        (
            Rule::OpenMarkIsWaitedFor,
            g::OFFSET,
            lanes(KK, zombie.failures(1)),
        ),
        (Rule::MarksInOrder, g::NO_DEADLOCK, batches(KL, zombie)),
        (Rule::OneFlightPerKey, g::ORDER, lanes(COPIES, failure)),
        (Rule::FailedGoesFirst, g::ORDER, lanes(KK, failure)),
        (
            Rule::StoppedKeyWaits,
            g::ORDER,
            lanes(KK, NONE).poisoned(K1),
        ),
        (Rule::StopsItsKeyOnly, g::FLOW, lanes(KL, NONE).poisoned(K1)),
        (Rule::UnknownIsTriedAgain, g::OFFSET, lanes(KK, lost)),
        (Rule::FinishedWhenCommitted, g::OFFSET, lanes(KK, NONE)),
        (Rule::LowestUnfinished, g::OFFSET, lanes(KL, NONE)),
        (Rule::OffsetsOnlyForward, g::FORWARD, lanes(KK, zombie)),
        (Rule::SpanIsBounded, g::BOUNDED, lanes(KLK, NONE).span(1)),
        (Rule::LockTimeout, g::FLOW, batches(KL, stopped).impatient()),
        (Rule::ServerEndsIdle, g::DRAINED, batches(LK, stopped)),
        (
            Rule::KeepsUncommitted,
            g::ONCE,
            lanes(KK, crash).forgetting(),
        ),
        (
            Rule::CopiesAreNoted,
            g::ONCE,
            lanes(COPIES, crash).forgetting(),
        ),
        (
            Rule::WindowOutlastsTheLate,
            g::ONCE,
            lanes(KK, zombie).forgetting(),
        ),
    ]
}
