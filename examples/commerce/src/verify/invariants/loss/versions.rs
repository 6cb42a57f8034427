//! What is told by version (products, users) is told without a gap, up to the version of the row.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::super::{
    finding::Finding,
    observation::{Mailbox, Observation},
};

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
        let Some(versions) = told.get(&(*topic, &**key)) else {
            // Nobody is told of the rows that the service was created with.
            if *version > 1 && !is_excused {
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
        let missing: Vec<_> = (first..=*version)
            .filter(|it| !versions.contains(it))
            .collect();
        if !missing.is_empty() && !is_excused {
            finding.offends(format!(
                "{topic}: versions {missing:?} of {key} are not told"
            ));
        }
    }
}
