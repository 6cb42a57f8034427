//! I13: each lock has at most one holder per fencing token, and no guarded resource has accepted a
//! token that was not granted.

use std::collections::BTreeMap;

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I13",
        "one holder per fencing token, none accepted ungranted",
        "locks",
    );
    for (service, locks) in &observation.locks {
        let mut holders: BTreeMap<i64, &str> = BTreeMap::new();
        for (name, fence) in &locks.leases {
            finding.checked += 1;
            if let Some(other) = holders.insert(*fence, name) {
                finding.offends(format!(
                    "{service}: locks {other} and {name} have the fencing token {fence}"
                ));
            }
        }
        let granted = locks.leases.iter().chain(&locks.accepted);
        for (name, fence) in granted.filter(|(_, fence)| *fence > locks.newest) {
            finding.offends(format!(
                "{service}: lock {name} has the fencing token {fence}, and {} is the newest that was granted",
                locks.newest
            ));
        }
    }
    finding
}
