//! I6: no message is lost, and the log holds only emitted messages.

use std::collections::{BTreeSet, HashMap, HashSet};

use commerce_contracts::{SUBSCRIPTIONS, TOPICS};

use super::super::{
    finding::Finding,
    log::{Partition, Record},
    observation::Observation,
};
use crate::config::SERVICES;

/// How long a message may wait in an outbox, in microseconds.
const LONGEST_WAIT: i64 = 60_000_000;

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I6",
        "no message lost: emitted, in the log, handled",
        "messages",
    );
    let mut logged: HashSet<&str> = envelopes(observation)
        .map(|envelope| &*envelope.id)
        .collect();
    // An operator may have made a message of an unreadable record.
    let letters = observation
        .journals
        .values()
        .flat_map(|journal| &journal.letters);
    logged.extend(letters.filter_map(|letter| letter.event_id.as_deref()));
    let mut emitted_ids: HashSet<&str> = HashSet::new();
    for (service, journal) in &observation.journals {
        let waiting: HashSet<&str> = journal
            .outbox
            .iter()
            .filter_map(|row| row.event_id.as_deref())
            .collect();
        for emitted in &journal.emitted {
            finding.checked += 1;
            let id = &*emitted.event_id;
            emitted_ids.insert(id);
            let is_discarded = journal.discarded.contains(id);
            if !logged.contains(id) && !waiting.contains(id) && !is_discarded {
                finding.offends(format!(
                    "{} {id} of {service} {} is neither in the log nor in the outbox",
                    emitted.kind, emitted.aggregate_id
                ));
            }
        }
        for row in journal.outbox.iter().filter(|row| !row.deferred) {
            if observation.as_of.saturating_sub(row.since) > LONGEST_WAIT {
                finding.offends(format!(
                    "{service}: message {} waits in the outbox for longer than 60 s",
                    row.event_id.as_deref().unwrap_or("?")
                ));
            }
        }
    }
    for envelope in envelopes(observation) {
        if !emitted_ids.contains(&*envelope.id) {
            finding.offends(format!(
                "{} {} is in the log, and no service emitted it",
                envelope.kind, envelope.id
            ));
        }
    }
    records(observation, &mut finding);
    offsets(observation, &mut finding);
    finding
}

fn envelopes(observation: &Observation) -> impl Iterator<Item = &super::super::log::Envelope> {
    let records = observation.log.records.iter();
    records.filter_map(|record| record.envelope.as_ref())
}

/// Every record below a committed offset has a processed record; one that cannot be read is in a
/// dead letter queue.
fn records(observation: &Observation, finding: &mut Finding) {
    for record in &observation.log.records {
        let Some(envelope) = &record.envelope else {
            unreadable(observation, record, finding);
            continue;
        };
        let identity = (envelope.source.clone(), envelope.id.clone());
        for subscription in SUBSCRIPTIONS {
            let service = subscription.service;
            let must_be_processed = subscription.topic == record.topic
                && subscription.kinds.contains(&&*envelope.kind)
                && record.offset < observation.log.committed(service, record.partition);
            let processed = observation
                .journals
                .get(service)
                .is_some_and(|journal| journal.processed.contains(&identity));
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
        let is_kept = observation.journals.get(service).is_some_and(|journal| {
            journal.letters.iter().any(|letter| {
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

/// The log has no gaps.
fn offsets(observation: &Observation, finding: &mut Finding) {
    let mut counts: HashMap<i64, i64> = HashMap::new();
    for record in &observation.log.records {
        *counts.entry(record.partition).or_default() += 1;
    }
    for service in SERVICES {
        for partition in &observation.log.partitions {
            let committed = observation.log.committed(service, partition.id);
            if committed > partition.next {
                finding.offends(format!(
                    "{service} has committed offset {committed} of {}/{}, which ends at {}",
                    partition.topic, partition.number, partition.next
                ));
            }
        }
    }
    for topic in TOPICS {
        let of_topic = |partition: &&Partition| partition.topic == *topic;
        let partitions = observation.log.partitions.iter().filter(of_topic);
        let numbers: BTreeSet<i64> = partitions.map(|partition| partition.number).collect();
        let expected = numbers.last().map_or(1, |last| last + 1);
        for missing in (0..expected).filter(|number| !numbers.contains(number)) {
            finding.offends(format!("{topic}/{missing} is not in the log"));
        }
    }
    for partition in &observation.log.partitions {
        let there = counts.get(&partition.id).copied().unwrap_or(0);
        let expected = partition.next - partition.first;
        if there != expected {
            finding.offends(format!(
                "{}/{} has {there} records between its offsets {} and {}",
                partition.topic, partition.number, partition.first, partition.next
            ));
        }
    }
}
