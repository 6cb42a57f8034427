//! I14: no card data in a message.

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new("I14", "no message holds the number of a card", "messages");
    for record in &observation.log.records {
        finding.checked += 1;
        if record.has_card {
            let (topic, offset) = (&record.topic, record.offset);
            let kind = record.envelope.as_ref().map_or("a record", |it| &it.kind);
            finding.offends(format!(
                "{kind} at offset {offset} of {topic} (partition {}) holds the number of a card",
                record.partition
            ));
        }
    }
    finding
}
