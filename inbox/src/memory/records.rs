//! The rows.

use std::time::SystemTime;

use mainstay_database::memory::Record;
use mainstay_messaging::{Group, Partition, Position};

/// The effect of a message is made.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) consumer: Group,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) position: Position,
    pub(super) seq: i64,
}

/// The unique key of marks.
pub(super) type MarkKey = (Group, String, String);

/// Where else the message of a mark was read: the mark stays while any copy may come again.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) mark: MarkKey,
    /// The highest one of its partition.
    pub(super) position: Position,
    /// The newest mark when it was read: a checkpoint that knows no newer one is older.
    pub(super) after_seq: i64,
}

/// How far a group had come.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) consumer: Group,
    pub(super) committed_at: SystemTime,
    pub(super) position: Position,
    pub(super) newest_seq: i64,
}

impl Record for Mark {
    const TABLE: &'static str = "inbox_processed";
    type Key = MarkKey;

    fn key(&self) -> MarkKey {
        (self.consumer.clone(), self.source.clone(), self.id.clone())
    }
}

impl Record for Copy {
    const TABLE: &'static str = "inbox_redeliveries";
    type Key = (MarkKey, Partition);

    fn key(&self) -> Self::Key {
        (self.mark.clone(), self.position.partition.clone())
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
