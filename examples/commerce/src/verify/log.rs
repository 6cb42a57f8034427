//! The broker's log, with the committed offsets of each service.

use std::collections::HashMap;

use commerce_chassis::{FileSnapshot, Result};
use serde::Deserialize;

/// All records, by partition and offset.
#[derive(Default, Debug)]
pub(crate) struct Log {
    pub(crate) records: Vec<Record>,
    /// First and next offset of each partition, with its topic and number.
    pub(crate) partitions: Vec<Partition>,
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
    #[serde(default)]
    headers: Vec<Vec<String>>,
}

impl Envelope {
    fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|header| header.first().is_some_and(|n| n == name));
        header?.get(1).map(String::as_str)
    }

    /// The aggregate and its version.
    pub(crate) fn aggregate(&self) -> Option<(&str, i64)> {
        let version = self.header("aggregateversion")?.parse().ok()?;
        Some((self.header("aggregateid")?, version))
    }
}

impl Log {
    pub(crate) async fn read(file: &mut FileSnapshot) -> Result<Self> {
        let partitions: Vec<(i64, String, i64, i64, i64)> = file
            .all("SELECT id, topic, number, first_offset, next_offset FROM broker_partitions ORDER BY id")
            .await?;
        let topics: HashMap<i64, String> = partitions
            .iter()
            .map(|(id, topic, ..)| (*id, topic.clone()))
            .collect();
        let records: Vec<(i64, i64, Option<String>, String)> = file
            .all("SELECT id >> 40, id & ((1 << 40) - 1), key, envelope FROM broker_records ORDER BY id")
            .await?;
        let committed: Vec<(String, i64, i64)> = file
            .all("SELECT grp, partition, committed FROM broker_claims")
            .await?;
        Ok(Self {
            records: records
                .into_iter()
                .map(|(partition, offset, order_id, envelope)| Record {
                    partition,
                    offset,
                    topic: topics.get(&partition).cloned().unwrap_or_default(),
                    order_id,
                    envelope: serde_json::from_str(&envelope).ok(),
                })
                .collect(),
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
            committed: committed
                .into_iter()
                .map(|(group, partition, offset)| ((group, partition), offset))
                .collect(),
        })
    }

    /// The offset that `service` committed; it has handled every record below.
    pub(crate) fn committed(&self, service: &str, partition: i64) -> i64 {
        let key = (service.to_owned(), partition);
        self.committed.get(&key).copied().unwrap_or(0)
    }
}
