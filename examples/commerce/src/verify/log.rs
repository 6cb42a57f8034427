//! The broker's log, with the committed offsets of each service.

use std::collections::{HashMap, HashSet};

use commerce_chassis::{LogContents, LogPartition, LogRecord};
use commerce_contracts::SUBSCRIPTIONS;
use mainstay_saga::CommandId;
use serde::Deserialize;

use super::card_data;

/// All records, by partition and offset.
#[derive(Default, Debug)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
    /// First and next offset of each partition, with its topic and number.
    pub(crate) partitions: Vec<Partition>,
    /// When the newest record was appended; microseconds since 1970.
    pub(crate) newest: i64,
    committed: HashMap<(String, i64), i64>,
}

/// A record.
#[derive(Debug)]
pub(crate) struct Record {
    /// The partition's id.
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) topic: String,
    pub(crate) order_id: Option<String>,
    /// Its envelope; none = it does not decode.
    pub(crate) envelope: Option<Envelope>,
    pub(crate) scan: Option<Scan>,
    /// The version of the product, user or stock item that it tells.
    pub(crate) version: Option<i64>,
    /// Whether it holds what looks like the number of a card.
    pub(crate) has_card: bool,
}

/// A partition of the log.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) id: i64,
    pub(crate) topic: String,
    pub(crate) number: i64,
    pub(crate) first: i64,
    pub(crate) next: i64,
}

/// The part of a stored message that the invariants need.
#[derive(Deserialize, Debug)]
pub(crate) struct Envelope {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) kind: String,
    /// Microseconds since 1970.
    pub(crate) occurred_at: Option<i64>,
    causation_id: Option<String>,
}

impl Envelope {
    /// The command of a saga that this is.
    pub(crate) fn command(&self) -> Option<CommandId> {
        self.id.parse().ok()
    }

    /// The command of a saga that this answers. What else the command led to is of kinds that the
    /// order service does not hear.
    pub(crate) fn answers(&self) -> Option<CommandId> {
        let mut heard = SUBSCRIPTIONS.iter().filter(|it| it.service == "order");
        if !heard.any(|it| it.kinds.contains(&&*self.kind)) {
            return None;
        }
        self.causation_id.as_deref()?.parse().ok()
    }
}

/// The topics whose messages tell a row by version; their keys are no orders.
pub(crate) const BY_VERSION: [&str; 3] = ["catalog", "identity", "stock"];

#[derive(Deserialize)]
struct Versioned {
    version: i64,
}

/// A scan of a parcel, as shipping tells it.
#[derive(Deserialize, Debug)]
pub(crate) struct Scan {
    #[serde(rename = "shipment_id")]
    pub(crate) parcel: String,
    #[serde(rename = "to")]
    pub(crate) status: String,
}

impl Log {
    pub(crate) fn of(contents: LogContents) -> Self {
        let partition = |partition: LogPartition| Partition {
            id: partition.id,
            topic: partition.topic,
            number: partition.number,
            first: partition.first,
            next: partition.next,
        };
        let partitions: Vec<Partition> = contents.partitions.into_iter().map(partition).collect();
        let topics: HashMap<i64, &str> = partitions
            .iter()
            .map(|partition| (partition.id, &*partition.topic))
            .collect();
        let record = |record: LogRecord| {
            let topic = topics.get(&record.partition).copied().unwrap_or_default();
            let payload = record.payload.unwrap_or_default();
            let envelope = record.envelope.unwrap_or_default();
            Record {
                partition: record.partition,
                offset: record.offset,
                topic: topic.to_owned(),
                order_id: record.key,
                envelope: serde_json::from_str(&envelope).ok(),
                scan: serde_json::from_slice(&payload)
                    .ok()
                    .filter(|_| topic == "shipping"),
                version: serde_json::from_slice(&payload)
                    .ok()
                    .filter(|_| BY_VERSION.contains(&topic))
                    .map(|Versioned { version }| version),
                has_card: card_data::is_in(&payload) || card_data::is_in(envelope.as_bytes()),
            }
        };
        Self {
            records: contents.records.into_iter().map(record).collect(),
            newest: contents.newest,
            committed: contents.committed,
            partitions,
        }
    }

    /// The orders with a record that cannot be read: it may be any message.
    pub(crate) fn unreadable(&self) -> HashSet<&str> {
        let records = self.records.iter();
        let unreadable = records.filter(|record| record.envelope.is_none());
        unreadable
            .filter_map(|record| record.order_id.as_deref())
            .collect()
    }

    /// Whether `service` has ever read or written the log.
    pub(crate) fn has_member(&self, service: &str) -> bool {
        let source = format!("/{service}");
        let mut envelopes = self.records.iter().filter_map(|it| it.envelope.as_ref());
        self.committed.keys().any(|(group, _)| group == service)
            || envelopes.any(|envelope| envelope.source == source)
    }

    /// The offset that `service` committed; it has handled every record below.
    pub(crate) fn committed(&self, service: &str, partition: i64) -> i64 {
        let key = (service.to_owned(), partition);
        self.committed.get(&key).copied().unwrap_or(0)
    }
}
