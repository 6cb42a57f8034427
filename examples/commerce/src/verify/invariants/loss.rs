//! I6: nothing is lost and nothing is invented.

use std::collections::{BTreeSet, HashMap, HashSet};

use commerce_contracts::{SUBSCRIPTIONS, TOPICS};

use super::super::{finding::Finding, log::Partition, picture::Picture};
use crate::config::SERVICES;

/// How long a message may wait in an outbox before an operator has to know, in microseconds.
const LONGEST_WAIT: i64 = 60_000_000;

pub(super) fn check(picture: &Picture) -> Finding {
    let mut finding = Finding::new(
        "I6",
        "no message lost: told, in the log, handled by each reader",
        "messages",
    );
    let logged: HashSet<&str> = envelopes(picture).map(|envelope| &*envelope.id).collect();
    let mut told: HashSet<&str> = HashSet::new();
    for (service, journal) in &picture.journals {
        let waiting: HashSet<&str> = journal
            .outbox
            .iter()
            .filter_map(|row| row.event_id.as_deref())
            .collect();
        for emitted in &journal.emitted {
            finding.checked += 1;
            let id = &*emitted.event_id;
            told.insert(id);
            if !logged.contains(id) && !waiting.contains(id) {
                finding.offends(format!(
                    "{} {id} of {service} {} is neither in the log nor in the outbox",
                    emitted.kind, emitted.aggregate_id
                ));
            }
        }
        for row in journal.outbox.iter().filter(|row| !row.held) {
            if picture.as_of.saturating_sub(row.since) > LONGEST_WAIT {
                finding.offends(format!(
                    "{service}: message {} waits in the outbox for longer than 60 s",
                    row.event_id.as_deref().unwrap_or("?")
                ));
            }
        }
    }
    for envelope in envelopes(picture) {
        if !told.contains(&*envelope.id) {
            finding.offends(format!(
                "{} {} is in the log and was told by nobody",
                envelope.kind, envelope.id
            ));
        }
    }
    records(picture, &mut finding);
    offsets(picture, &mut finding);
    finding
}

fn envelopes(picture: &Picture) -> impl Iterator<Item = &super::super::log::Envelope> {
    let records = picture.log.records.iter();
    records.filter_map(|record| record.envelope.as_ref())
}

/// Every record that a service has finished has its mark there.
fn records(picture: &Picture, finding: &mut Finding) {
    for record in &picture.log.records {
        let Some(envelope) = &record.envelope else {
            finding.offends(format!(
                "record {} of {} (partition {}) cannot be read",
                record.offset, record.topic, record.partition
            ));
            continue;
        };
        let identity = (envelope.source.clone(), envelope.id.clone());
        for subscription in SUBSCRIPTIONS {
            let service = subscription.service;
            let concerns = subscription.topic == record.topic
                && subscription.kinds.contains(&&*envelope.kind)
                && record.offset < picture.log.committed(service, record.partition);
            let marked = picture
                .journals
                .get(service)
                .is_some_and(|journal| journal.marks.contains(&identity));
            if concerns && !marked {
                finding.offends(format!(
                    "{service} has passed {} {} without a mark",
                    envelope.kind, envelope.id
                ));
            }
        }
    }
}

/// The log has no holes.
fn offsets(picture: &Picture, finding: &mut Finding) {
    let mut counts: HashMap<i64, i64> = HashMap::new();
    for record in &picture.log.records {
        *counts.entry(record.partition).or_default() += 1;
    }
    for service in SERVICES {
        for partition in &picture.log.partitions {
            let committed = picture.log.committed(service, partition.id);
            if committed > partition.next {
                finding.offends(format!(
                    "{service} has passed offset {committed} of {}/{}, which ends at {}",
                    partition.topic, partition.number, partition.next
                ));
            }
        }
    }
    for topic in TOPICS {
        let of_topic = |partition: &&Partition| partition.topic == *topic;
        let partitions = picture.log.partitions.iter().filter(of_topic);
        let numbers: BTreeSet<i64> = partitions.map(|partition| partition.number).collect();
        let expected = numbers.last().map_or(1, |last| last + 1);
        for missing in (0..expected).filter(|number| !numbers.contains(number)) {
            finding.offends(format!("{topic}/{missing} is not in the log"));
        }
    }
    for partition in &picture.log.partitions {
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
