//! From the commit to the effect.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Verdict, Violation};
use crate::{Entry, History};

/// Each committed entry was published, and its effect is made.
pub fn nothing_lost(history: &History) -> Verdict {
    let (published, effects) = (ids(&history.published), ids(&history.effects));
    let lost = history.committed.iter().filter_map(|entry| {
        if !published.contains(&*entry.id) {
            return Some(format!("{entry:?} was not published"));
        }
        (!effects.contains(&*entry.id)).then(|| format!("{entry:?} has no effect"))
    });
    Violation::of("what was committed is published and done", lost)
}

/// Nothing was published, or has an effect, that was not committed just so.
pub fn no_phantom(history: &History) -> Verdict {
    let committed: HashSet<&Entry> = history.committed.iter().collect();
    let unheard = |entries: &[Entry], what: &str| -> Vec<String> {
        let phantoms = entries.iter().filter(|entry| !committed.contains(entry));
        phantoms.map(|entry| format!("{what} {entry:?}")).collect()
    };
    let mut phantoms = unheard(&history.published, "published:");
    phantoms.extend(unheard(&history.effects, "effect of"));
    Violation::of("what is published or done was committed", phantoms)
}

/// Taking of each entry the first time it was published, those of a key have the order of its commits, without a gap.
pub fn first_deliveries_in_commit_order(history: &History) -> Verdict {
    let mut seen = HashSet::new();
    let first = history.published.iter();
    let first: Vec<&Entry> = first.filter(|entry| seen.insert(&entry.id)).collect();
    Violation::of(
        "first deliveries of a key have the order of its commits",
        out_of_order(&history.committed, first),
    )
}

/// Each effect is made once, those of a key in the order of its commits, without a gap.
pub fn effects_once_in_order(history: &History) -> Verdict {
    Violation::of(
        "effects are made once, per key in the order of commits",
        out_of_order(&history.committed, history.effects.iter().collect()),
    )
}

/// The outbox holds nothing any more.
pub fn outbox_drained(history: &History) -> Verdict {
    let waiting = history.waiting;
    let left = (waiting != 0).then(|| format!("{waiting} rows are left"));
    Violation::of("the outbox is empty", left)
}

/// No entry was published twice: so it must be where no process died and no answer was lost.
pub fn each_published_once(history: &History) -> Verdict {
    let mut times: BTreeMap<&Entry, usize> = BTreeMap::new();
    for entry in &history.published {
        *times.entry(entry).or_default() += 1;
    }
    let often = times.into_iter().filter(|(_, times)| *times > 1);
    Violation::of(
        "each entry is published once",
        often.map(|(entry, times)| format!("{times} times: {entry:?}")),
    )
}

fn ids(entries: &[Entry]) -> HashSet<&str> {
    entries.iter().map(|entry| &*entry.id).collect()
}

/// Of each key, the first place where what `came` differs from what was committed.
fn out_of_order(committed: &[Entry], came: Vec<&Entry>) -> Vec<String> {
    let mut expected: HashMap<&str, Vec<&str>> = HashMap::new();
    for entry in committed {
        expected.entry(&entry.key).or_default().push(&entry.id);
    }
    let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in came {
        by_key.entry(&entry.key).or_default().push(&entry.id);
    }
    let differences = by_key.into_iter().filter_map(|(key, came)| {
        let expected = expected.get(key).map_or(&[][..], Vec::as_slice);
        let at = (came.iter().zip(expected)).position(|(came, expected)| came != expected);
        // What is missing at the end is lost, and for another checker to say.
        let at = at.or((came.len() > expected.len()).then_some(expected.len()))?;
        Some(format!(
            "key {key}, place {at}: {:?} came, {:?} was committed there",
            came.get(at),
            expected.get(at)
        ))
    });
    differences.collect()
}
