//! What a log holds.

use std::collections::HashMap;

/// Records by partition and offset, and how far each service is.
#[derive(Default, Debug)]
#[non_exhaustive]
pub struct LogContents {
    /// First and next offset of each partition, with its topic and number.
    pub partitions: Vec<LogPartition>,
    /// The records, by partition and offset.
    pub records: Vec<LogRecord>,
    /// When the newest record was appended; microseconds since 1970.
    pub newest: i64,
    /// The offset that a service committed in a partition, by the service and the partition's id.
    pub committed: HashMap<(String, i64), i64>,
}

/// How many records were written, and how many of them are left to handle.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LogProgress {
    /// Records that a service has not handled yet, counted once per service.
    pub unread: i64,
    /// Records that were ever appended.
    pub appended: i64,
}

/// A partition of the log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogPartition {
    /// Its id, unique among all topics.
    pub id: i64,
    /// Its topic.
    pub topic: String,
    /// Its number in the topic.
    pub number: i64,
    /// The first offset that is kept.
    pub first: i64,
    /// The offset of the next record.
    pub next: i64,
}

/// A record.
#[derive(Debug)]
#[non_exhaustive]
pub struct LogRecord {
    /// The id of its partition.
    pub partition: i64,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<String>,
    /// Its [envelope](mainstay_messaging::envelope); none = the record is no message.
    pub envelope: Option<String>,
    /// Its payload.
    pub payload: Option<Vec<u8>>,
}

impl LogContents {
    /// The offset that `service` committed in a partition: it has handled every record below.
    #[must_use]
    pub fn committed(&self, service: &str, partition: i64) -> i64 {
        let key = (service.to_owned(), partition);
        self.committed.get(&key).copied().unwrap_or(0)
    }

    /// The partition of this id.
    #[must_use]
    pub fn partition(&self, id: i64) -> Option<&LogPartition> {
        self.partitions.iter().find(|partition| partition.id == id)
    }
}
