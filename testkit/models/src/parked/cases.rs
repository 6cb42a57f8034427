//! The cases of this model.

use crate::{
    case::{Case, Size},
    message::Message::{self, K1, K2, K3, K4, L1},
};

use super::{
    Parked,
    bounds::{Bounds, Mishaps},
    guarantees as g,
    rule::Rule,
};

const MODEL: &str = "parked";

const KK: &[Message] = &[K1, K2];
const KKK: &[Message] = &[K1, K2, K3];
const KKKK: &[Message] = &[K1, K2, K3, K4];
const KKL: &[Message] = &[K1, K2, L1];
const KKLK: &[Message] = &[K1, K2, L1, K3];
const KKLKK: &[Message] = &[K1, K2, L1, K3, K4];

const NONE: Mishaps = Mishaps::NONE;

/// Each key goes its own way.
const fn lanes(log: &'static [Message], mishaps: Mishaps) -> Bounds {
    Bounds {
        log,
        batch: 1,
        is_kept: false,
        restore: false,
        mishaps,
    }
}

/// Three messages in a statement.
const fn batches(log: &'static [Message], mishaps: Mishaps) -> Bounds {
    let mut bounds = lanes(log, mishaps);
    bounds.batch = 3;
    bounds
}

impl Bounds {
    const fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    const fn restored(mut self) -> Self {
        self.restore = true;
        self
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = small();
    cases.extend(large());
    cases.extend(removed().into_iter().map(|(rule, breaks, bounds)| {
        let form = if bounds.batch > 1 && rule == Rule::ServerEndsIdle {
            " of batch"
        } else {
            ""
        };
        let without = Some(rule);
        Case::removed(MODEL, rule, form, breaks, Parked { bounds, without })
    }));
    cases
}

fn holds(name: &str, size: Size, bounds: Bounds) -> Case {
    let without = None;
    Case::holds(MODEL, name, size, Parked { bounds, without })
}

fn small() -> Vec<Case> {
    let one = NONE.failures(1).acts(1);
    let crash = one.crashes(1);
    [
        ("crash", lanes(KKL, crash)),
        ("crash, batches", batches(KKL, crash)),
        ("three of a key", lanes(KKK, one)),
        ("three of a key, batches", batches(KKK, one)),
        (
            "two failures, two acts, desk crash",
            lanes(KK, NONE.failures(2).acts(2).desk_crashes(1)),
        ),
        (
            "lost commit, failed park",
            lanes(KK, one.lost_commits(1).failed_parks(1)),
        ),
        (
            "drains that fail",
            lanes(KKK, NONE.failures(2).acts(2)).kept(),
        ),
        ("stopped process, batches", batches(KKL, one.freezes(1))),
        ("restore", lanes(KK, NONE.failures(1).acts(3)).restored()),
    ]
    .map(|(name, bounds)| holds(name, Size::Small, bounds))
    .into()
}

fn large() -> Vec<Case> {
    let all = NONE.failures(1).acts(2).crashes(1);
    let more = NONE.failures(2).acts(2).desk_crashes(1);
    [
        ("crash", lanes(KKKK, all)),
        ("crash, batches", batches(KKLK, all)),
        ("stopped process", lanes(KKK, all.freezes(1))),
        ("stopped process, batches", batches(KKL, all.freezes(1))),
        (
            "lost commit, failed park",
            lanes(KKK, all.lost_commits(1).failed_parks(1)),
        ),
        (
            "lost commit, failed park, batches",
            batches(KKL, all.lost_commits(1).failed_parks(1)),
        ),
        ("two failures, desk crash", lanes(KKK, more)),
        ("two failures, desk crash, batches", batches(KKK, more)),
        ("restore", lanes(KK, NONE.failures(2).acts(4)).restored()),
        ("five messages", lanes(KKLKK, NONE.failures(1).acts(1))),
    ]
    .map(|(name, bounds)| holds(name, Size::Large, bounds))
    .into()
}

fn removed() -> [(Rule, &'static str, Bounds); 20] {
    let failure = NONE.failures(1);
    let act = failure.acts(1);
    let acts = failure.acts(2);
    let frozen = failure.freezes(1);
    [
        (Rule::SecondStatement, g::ORDER, batches(KK, failure)),
        (Rule::DecidedInAdmission, g::ORDER, lanes(KK, failure)),
        (Rule::FollowersLock, g::HAS_ROW, lanes(KK, act)),
        (Rule::HandBackLocks, g::HAS_ROW, lanes(KK, act)),
        (Rule::HandBackLooksAgain, g::HAS_ROW, lanes(KK, act)),
        (Rule::RowIsUpdated, g::HAS_ROW, lanes(KK, acts).restored()),
        (
            Rule::RowWithOwnMark,
            g::HAS_ROW,
            lanes(KK, NONE.failures(2)),
        ),
        (Rule::ParkAtOnce, g::HAS_ROW, lanes(KK, failure)),
        (
            Rule::FailedParkStops,
            g::ORDER,
            lanes(KK, failure.failed_parks(1)),
        ),
        (Rule::ReplayAtOnce, g::ONCE, lanes(KK, acts)),
        (Rule::HeadOnly, g::ORDER, lanes(KK, act)),
        (Rule::HeadIsWaitedFor, g::ORDER, lanes(KK, acts)),
        (Rule::StateIsChecked, g::ONCE, lanes(KK, acts)),
        (
            Rule::DrainingInRow,
            g::NONE_LEFT,
            lanes(KK, act.desk_crashes(1)),
        ),
        (Rule::Sweep, g::NO_EMPTY_ROW, lanes(KK, act.desk_crashes(1))),
        (
            Rule::StopChecksItsHead,
            g::NONE_LEFT,
            lanes(KKK, NONE.failures(2).acts(2)).kept(),
        ),
        (Rule::DiscardKeepsMark, g::DISCARDED, lanes(KK, act)),
        (Rule::LowestUnfinished, g::OFFSET, lanes(KKL, failure)),
        (Rule::ServerEndsIdle, g::NO_DEADLOCK, lanes(KKL, frozen)),
        (Rule::ServerEndsIdle, g::FLOW, batches(KKL, frozen)),
    ]
}
