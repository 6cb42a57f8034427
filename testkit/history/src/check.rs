//! The invariants of a [`History`], one function each.
//!
//! A function returns the cases that violate its invariant, as texts. It returns none if the
//! invariant holds, or if the section that it looks at is empty.

mod blocked;
mod delivery;
mod effects;
mod ownership;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
};

use crate::History;

pub use blocked::{blocked_keys_block_no_other, blocked_keys_not_overtaken, drained};
pub use delivery::{
    each_published_once, first_deliveries_in_key_order, no_phantom, nothing_lost,
    nothing_unpublished_removed,
};
pub use effects::{
    cursors_rise, effects_in_key_order, effects_once, nothing_redeliverable_pruned,
    offsets_behind_effects, offsets_rise,
};
pub use ownership::{
    fencing_tokens_rise, nothing_recorded_is_sent, one_owner_per_fencing_token, records_by_owners,
};

/// Returns every case that violates an invariant.
pub type Check = fn(&History) -> Vec<String>;

/// The invariants of every run, by name.
pub const ALL: &[(&str, Check)] = &[
    ("no loss", nothing_lost),
    ("no phantom", no_phantom),
    (
        "first deliveries of a key in the order of its commits",
        first_deliveries_in_key_order,
    ),
    ("offsets never move back", offsets_rise),
    ("cursors never move back", cursors_rise),
    (
        "the fencing token rises with each owner",
        fencing_tokens_rise,
    ),
    ("one owner per fencing token", one_owner_per_fencing_token),
    ("only the owner records", records_by_owners),
    (
        "nothing is sent that was recorded",
        nothing_recorded_is_sent,
    ),
    ("an effect once per consumer and message", effects_once),
    (
        "effects of a key in the order of its commits",
        effects_in_key_order,
    ),
    ("offset committed, effect durable", offsets_behind_effects),
    (
        "no message overtakes a blocked key",
        blocked_keys_not_overtaken,
    ),
    (
        "a blocked key blocks no other key",
        blocked_keys_block_no_other,
    ),
    (
        "retention removes nothing unpublished",
        nothing_unpublished_removed,
    ),
    (
        "retention prunes nothing redeliverable",
        nothing_redeliverable_pruned,
    ),
    ("drained after heal", drained),
];

/// Checks all invariants and returns those that are violated.
#[must_use]
pub fn violations(history: &History) -> Vec<Violation> {
    let judge = |&(invariant, check): &(&'static str, Check)| {
        let cases = check(history);
        (!cases.is_empty()).then_some(Violation { invariant, cases })
    };
    ALL.iter().filter_map(judge).collect()
}

/// An invariant that is violated, with its cases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    invariant: &'static str,
    cases: Vec<String>,
}

impl Violation {
    /// The name of the invariant in [`ALL`].
    #[must_use]
    pub const fn invariant(&self) -> &'static str {
        self.invariant
    }

    /// The cases, as texts.
    #[must_use]
    pub fn cases(&self) -> &[String] {
        &self.cases
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        write!(
            f,
            "violated: {}; {} cases",
            self.invariant,
            self.cases.len()
        )?;
        let shown = self.cases.iter().take(SHOWN);
        shown
            .into_iter()
            .try_for_each(|case| write!(f, "\n  {case}"))?;
        f.write_str(if self.cases.len() > SHOWN {
            "\n  …"
        } else {
            ""
        })
    }
}

impl std::error::Error for Violation {}

/// The index at which each item comes first.
fn first_places<T: Hash + Eq>(all: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut first = HashMap::new();
    for (at, item) in all.enumerate() {
        first.entry(item).or_insert(at);
    }
    first
}

/// The items that come more than once, and how many times.
fn repeated<T: Ord>(all: impl Iterator<Item = T>) -> impl Iterator<Item = (T, usize)> {
    let mut times: BTreeMap<T, usize> = BTreeMap::new();
    for item in all {
        *times.entry(item).or_default() += 1;
    }
    times.into_iter().filter(|(_, times)| *times > 1)
}
