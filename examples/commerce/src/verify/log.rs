//! The broker's log, with the committed offsets of each service.

use std::collections::{HashMap, HashSet};

use commerce_chassis::{FileSnapshot, Result};
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

    /// The command of a saga that this answers.
    pub(crate) fn answers(&self) -> Option<CommandId> {
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

const RECORDS: &str = "SELECT id >> 40, id & ((1 << 40) - 1), key, envelope, payload
    FROM broker_records ORDER BY id";

impl Log {
    pub(crate) async fn read(file: &mut FileSnapshot) -> Result<Self> {
        type Row = (i64, i64, Option<String>, String, Option<Vec<u8>>);
        let partitions: Vec<(i64, String, i64, i64, i64)> = file
            .all("SELECT id, topic, number, first_offset, next_offset FROM broker_partitions ORDER BY id")
            .await?;
        let topics: HashMap<i64, String> = partitions
            .iter()
            .map(|(id, topic, ..)| (*id, topic.clone()))
            .collect();
        let records: Vec<Row> = file.all(RECORDS).await?;
        let newest = "SELECT coalesce(max(appended_at), 0) FROM broker_records";
        let newest: Vec<(i64,)> = file.all(newest).await?;
        let committed: Vec<(String, i64, i64)> = file
            .all("SELECT grp, partition, committed FROM broker_claims")
            .await?;
        let record = |(partition, offset, order_id, envelope, payload): Row| {
            let topic = topics.get(&partition).cloned().unwrap_or_default();
            let payload = payload.unwrap_or_default();
            Record {
                partition,
                offset,
                order_id,
                envelope: serde_json::from_str(&envelope).ok(),
                scan: serde_json::from_slice(&payload)
                    .ok()
                    .filter(|_| topic == "shipping"),
                version: serde_json::from_slice(&payload)
                    .ok()
                    .filter(|_| BY_VERSION.contains(&&*topic))
                    .map(|Versioned { version }| version),
                has_card: card_data::is_in(&payload) || card_data::is_in(envelope.as_bytes()),
                topic,
            }
        };
        Ok(Self {
            records: records.into_iter().map(record).collect(),
            partitions: partitions
                .into_iter()
                .map(|(id, topic, number, first, next)| Partition {
                    id,
                    topic,
                    number,
                    first,
                    next,
                })
                .collect(),
            newest: newest.first().map_or(0, |(at,)| *at),
            committed: committed
                .into_iter()
                .map(|(group, partition, offset)| ((group, partition), offset))
                .collect(),
        })
    }

    /// The orders with a record that cannot be read: it may be any message.
    pub(crate) fn unreadable(&self) -> HashSet<&str> {
        let records = self.records.iter();
        let unreadable = records.filter(|record| record.envelope.is_none());
        unreadable
            .filter_map(|record| record.order_id.as_deref())
            .collect()
    }

    /// Whether `service` has ever read the log.
    pub(crate) fn has_reader(&self, service: &str) -> bool {
        self.committed.keys().any(|(group, _)| group == service)
    }

    /// The offset that `service` committed; it has handled every record below.
    pub(crate) fn committed(&self, service: &str, partition: i64) -> i64 {
        let key = (service.to_owned(), partition);
        self.committed.get(&key).copied().unwrap_or(0)
    }
}
