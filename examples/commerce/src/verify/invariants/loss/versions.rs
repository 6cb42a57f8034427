//! What is told by version has a row that is not older. Products and users are told without a gap.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::super::{
    finding::Finding,
    observation::{Mailbox, Observation},
};

/// The topic that tells some versions only: those that customers notice.
const SOME: &str = "stock";

pub(super) fn check(observation: &Observation, finding: &mut Finding) {
    let mut told: BTreeMap<(&str, &str), BTreeSet<i64>> = BTreeMap::new();
    // A record that cannot be read may tell any version.
    let mut unreadable: HashSet<&str> = HashSet::new();
    for record in &observation.log.records {
        let key = record.order_id.as_deref().unwrap_or_default();
        match record.version {
            Some(version) => {
                let of_thing = told.entry((&record.topic, key)).or_default();
                of_thing.insert(version);
            }
            None => drop(unreadable.insert(key)),
        }
    }
    let waiting: HashSet<&str> = observation
        .mailboxes
        .values()
        .flat_map(Mailbox::unpublished)
        .filter_map(|row| row.order_id.as_deref())
        .collect();
    for ((topic, key), version) in &observation.versions {
        let is_excused = waiting.contains(&**key) || unreadable.contains(&**key);
        let Some(versions) = told.remove(&(*topic, &**key)) else {
            // Nobody is told of the rows that the service was created with.
            if *version > 1 && *topic != SOME && !is_excused {
                finding.offends(format!("{topic}: nothing of {key} is told"));
            }
            continue;
        };
        let (first, last) = (versions.first(), versions.last());
        let (first, last) = (first.copied().unwrap_or(0), last.copied().unwrap_or(0));
        if last > *version {
            finding.offends(format!(
                "{topic}: version {last} of {key} is in the log, its row is at {version}"
            ));
        }
        let missing = (first..=*version).filter(|it| *topic != SOME && !versions.contains(it));
        let missing: Vec<_> = missing.collect();
        if !missing.is_empty() && !is_excused {
            finding.offends(format!(
                "{topic}: versions {missing:?} of {key} are not told"
            ));
        }
    }
    let has_owner = |topic: &str| {
        let owner = if topic == SOME { "inventory" } else { topic };
        !observation.absent.contains(owner)
    };
    for (topic, key) in told.keys().filter(|(topic, _)| has_owner(topic)) {
        finding.offends(format!("{topic}: {key} is told, and has no row"));
    }
}
