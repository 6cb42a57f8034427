//! What was read was handled.

use std::collections::BTreeSet;

use commerce_contracts::SUBSCRIPTIONS;

use super::super::super::{finding::Finding, log::Record, observation::Observation};

/// Every record below a committed offset has a processed record; one that cannot be read is in a
/// dead letter queue.
pub(super) fn check(observation: &Observation, finding: &mut Finding) {
    for record in &observation.log.records {
        let Some(envelope) = &record.envelope else {
            unreadable(observation, record, finding);
            continue;
        };
        let identity = (envelope.source.clone(), envelope.id.clone());
        for subscription in SUBSCRIPTIONS {
            let service = subscription.service;
            let must_be_processed = subscription.handles(&record.topic, &envelope.kind)
                && record.offset < observation.log.committed(service, record.partition);
            let processed = observation
                .mailboxes
                .get(service)
                .is_some_and(|mailbox| mailbox.processed.contains(&identity));
            if must_be_processed && !processed {
                finding.offends(format!(
                    "{service} has committed {} {} without a processed record",
                    envelope.kind, envelope.id
                ));
            }
        }
    }
}

fn unreadable(observation: &Observation, record: &Record, finding: &mut Finding) {
    let mut partitions = observation.log.partitions.iter();
    let number = partitions.find(|partition| partition.id == record.partition);
    let number = number.map(|partition| partition.number);
    let services: BTreeSet<&str> = SUBSCRIPTIONS
        .iter()
        .filter(|subscription| subscription.topic == record.topic)
        .map(|subscription| subscription.service)
        .filter(|service| record.offset < observation.log.committed(service, record.partition))
        .collect();
    for service in services {
        let is_kept = observation.mailboxes.get(service).is_some_and(|mailbox| {
            mailbox.letters.iter().any(|letter| {
                (&*letter.topic, Some(letter.partition), letter.offset)
                    == (&*record.topic, number, record.offset)
            })
        });
        if !is_kept {
            finding.offends(format!(
                "record {} of {} (partition {}) cannot be read, and {service} has committed it without keeping it",
                record.offset, record.topic, record.partition
            ));
        }
    }
}
