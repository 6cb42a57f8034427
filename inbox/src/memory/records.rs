//! The rows.

use std::time::SystemTime;

use mainstay_database::memory::Record;
use mainstay_messaging::{Group, Partition, Position};

/// A message was processed.
#[derive(Clone, Debug)]
pub(super) struct Processed {
    pub(super) consumer: Group,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) position: Position,
    pub(super) seq: i64,
}

/// The unique key of processed records.
pub(super) type ProcessedKey = (Group, String, String);

/// A further position of a processed message: its record is kept while the message may come again
/// there.
#[derive(Clone, Debug)]
pub(super) struct Redelivery {
    pub(super) record: ProcessedKey,
    /// The highest one of its partition.
    pub(super) position: Position,
    /// The newest processed record when it was read. A checkpoint that knows no newer one is older.
    pub(super) after_seq: i64,
}

/// How far a group had committed.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) consumer: Group,
    pub(super) committed_at: SystemTime,
    pub(super) position: Position,
    pub(super) newest_seq: i64,
}

impl Record for Processed {
    const TABLE: &'static str = "inbox_processed";
    type Key = ProcessedKey;

    fn key(&self) -> ProcessedKey {
        (self.consumer.clone(), self.source.clone(), self.id.clone())
    }
}

impl Record for Redelivery {
    const TABLE: &'static str = "inbox_redeliveries";
    type Key = (ProcessedKey, Partition);

    fn key(&self) -> Self::Key {
        (self.record.clone(), self.position.partition.clone())
    }
}

impl Record for Checkpoint {
    const TABLE: &'static str = "inbox_progress";
    type Key = (Group, Partition, SystemTime);

    fn key(&self) -> Self::Key {
        (
            self.consumer.clone(),
            self.position.partition.clone(),
            self.committed_at,
        )
    }
}
