//! I7: an aggregate's versions have no gaps, and its messages are in order in the log.

use std::collections::{HashMap, HashSet};

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I7",
        "messages of an aggregate are gapless and in order",
        "aggregates",
    );
    for (service, journal) in &observation.journals {
        // Read in the order of aggregate and version.
        let mut last: Option<(&str, i64)> = None;
        for emitted in &journal.emitted {
            let before = last.filter(|(id, _)| *id == emitted.aggregate_id);
            if before.is_none() {
                finding.checked += 1;
            }
            let expected = before.map_or(1, |(_, version)| version + 1);
            if emitted.version != expected {
                finding.offends(format!(
                    "{service} {}: version {} follows {}",
                    emitted.aggregate_id,
                    emitted.version,
                    expected - 1
                ));
            }
            last = Some((&emitted.aggregate_id, emitted.version));
        }
    }
    in_the_log(observation, &mut finding);
    finding
}

/// A message may be in the log twice; its first position counts.
fn in_the_log(observation: &Observation, finding: &mut Finding) {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut newest: HashMap<(i64, &str, &str), i64> = HashMap::new();
    for record in &observation.log.records {
        let Some(envelope) = &record.envelope else {
            continue;
        };
        let Some((aggregate, version)) = envelope.aggregate() else {
            finding.offends(format!(
                "{} {} names no aggregate",
                envelope.kind, envelope.id
            ));
            continue;
        };
        if !seen.insert(&envelope.id) {
            continue;
        }
        let newest = newest
            .entry((record.partition, &envelope.source, aggregate))
            .or_default();
        if version <= *newest {
            finding.offends(format!(
                "{} {aggregate}: version {version} comes after {newest} in {}",
                envelope.source, record.topic
            ));
        }
        *newest = version.max(*newest);
    }
}
