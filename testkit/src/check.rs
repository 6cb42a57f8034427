//! What must hold of a [`History`], one function per invariant. Each answers with the cases against it,
//! in words; none means that it holds, or that its section is empty.

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

pub use blocked::{blocked_keys_block_only_themselves, blocked_keys_not_overtaken, drained};
pub use delivery::{
    each_published_once, first_deliveries_in_key_order, no_phantom, nothing_lost,
    nothing_unpublished_removed,
};
pub use effects::{
    cursors_rise, effects_in_key_order, effects_once, nothing_redeliverable_pruned,
    offsets_behind_effects, offsets_rise,
};
pub use ownership::{
    fences_rise, nothing_recorded_is_sent, one_owner_per_fence, records_by_owners,
};

/// Says every case against an invariant.
pub type Check = fn(&History) -> Vec<String>;

/// What must hold whatever happened, by name.
pub const ALL: &[(&str, Check)] = &[
    ("no loss", nothing_lost),
    ("no phantom", no_phantom),
    (
        "first deliveries of a key in the order of its commits",
        first_deliveries_in_key_order,
    ),
    ("offsets never move back", offsets_rise),
    ("cursors never move back", cursors_rise),
    ("the fence rises with each owner", fences_rise),
    ("one owner per fence", one_owner_per_fence),
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
        "a blocked key is overtaken by nobody",
        blocked_keys_not_overtaken,
    ),
    (
        "a blocked key blocks only itself",
        blocked_keys_block_only_themselves,
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

/// Every violation of what must hold [always](ALL).
pub fn violations(history: &History) -> Vec<Violation> {
    let judge = |&(invariant, check): &(&'static str, Check)| {
        let cases = check(history);
        (!cases.is_empty()).then_some(Violation { invariant, cases })
    };
    ALL.iter().filter_map(judge).collect()
}

/// An invariant that does not hold, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// What does not hold: a name in [`ALL`].
    pub invariant: &'static str,
    /// Where it does not hold, in words.
    pub cases: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        write!(f, "not so: {}; {} cases", self.invariant, self.cases.len())?;
        let mut shown = self.cases.iter().take(SHOWN);
        shown.try_for_each(|case| write!(f, "\n  {case}"))?;
        let more = if self.cases.len() > SHOWN {
            "\n  …"
        } else {
            ""
        };
        f.write_str(more)
    }
}

/// Where each of them comes first.
fn first_places<T: Hash + Eq>(all: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut first = HashMap::new();
    for (at, item) in all.enumerate() {
        first.entry(item).or_insert(at);
    }
    first
}

/// What comes more than once, and how often.
fn repeated<T: Ord>(all: impl Iterator<Item = T>) -> impl Iterator<Item = (T, usize)> {
    let mut times: BTreeMap<T, usize> = BTreeMap::new();
    for item in all {
        *times.entry(item).or_default() += 1;
    }
    times.into_iter().filter(|(_, times)| *times > 1)
}
