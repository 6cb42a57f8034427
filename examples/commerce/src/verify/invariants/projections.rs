//! I8: the counts of analytics are those that its facts lead to.

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new("I8", "rebuilt projections are the live ones", "facts");
    if let Some(comparison) = &observation.projection {
        finding.checked = comparison.facts;
        for difference in &comparison.differences {
            finding.offends(difference.clone());
        }
    }
    finding
}
