//! The log has no gaps.

use std::collections::{BTreeSet, HashMap};

use commerce_contracts::TOPICS;

use super::super::super::{finding::Finding, log::Partition, observation::Observation};
use crate::config::SERVICES;

pub(super) fn check(observation: &Observation, finding: &mut Finding) {
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
