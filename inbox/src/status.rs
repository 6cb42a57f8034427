//! What a worker is doing, for health endpoints and operators.

use std::{sync::Arc, time::SystemTime};

use mainstay_messaging::{Key, Partition, Position};

use crate::FailureKind;

/// A worker at one moment.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Whether [`Worker::run`](crate::Worker::run) runs.
    pub running: bool,
    /// The partitions it holds.
    pub partitions: Vec<PartitionStatus>,
    /// Keys that wait for somebody: their first message could not be handled.
    pub stopped: Vec<BlockedKey>,
    /// Set while the database or the broker does not answer: what it says.
    pub last_error: Option<Arc<str>>,
}

impl Status {
    /// Whether it runs, nothing stands in its way and no key is stopped.
    #[must_use]
    pub const fn is_healthy(&self) -> bool {
        self.running && self.stopped.is_empty() && self.last_error.is_none()
    }
}

/// One partition that a worker holds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PartitionStatus {
    /// Which one.
    pub partition: Partition,
    /// Everything below this offset is finished.
    pub finished_below: i64,
    /// The offset behind the newest record it was handed.
    pub received_below: i64,
    /// Records from the lowest unfinished one on, finished or not.
    pub in_flight: usize,
    /// Whether it is paused because the span has reached its bound.
    pub paused: bool,
}

/// A key that is stopped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BlockedKey {
    /// The message that could not be handled.
    pub position: Position,
    /// Its key; none = it has none, or one that is no text.
    pub key: Option<Key>,
    /// Since when.
    pub since: SystemTime,
    /// What kind of failure.
    pub kind: FailureKind,
    /// How often it was tried.
    pub attempts: u32,
    /// The error and its sources in one line.
    pub error: Arc<str>,
    /// How many messages of the key wait behind it here.
    pub waiting: usize,
}
