//! The rows.

use std::sync::Arc;

use mainstay_database::memory::Record;

use crate::store::{RebuildState, StoredEvent, StoredSnapshot};

/// A row of the table of events, for tests that look at what is committed, and that put a stream as
/// it shall be: `database.committed::<EventRow>()`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct EventRow {
    /// The name of its stream.
    pub stream: Arc<str>,
    /// The event.
    pub event: StoredEvent,
}

impl EventRow {
    /// An event of a stream.
    pub fn new(stream: impl Into<Arc<str>>, event: StoredEvent) -> Self {
        Self {
            stream: stream.into(),
            event,
        }
    }
}

impl Record for EventRow {
    const TABLE: &'static str = "eventstore_events";
    type Key = (String, u64);

    fn key(&self) -> (String, u64) {
        (self.stream.to_string(), self.event.version)
    }
}

/// The newest state of an aggregate.
#[derive(Clone, Debug)]
pub(super) struct SnapshotRow {
    pub(super) stream: String,
    pub(super) snapshot: StoredSnapshot,
}

impl Record for SnapshotRow {
    const TABLE: &'static str = "eventstore_snapshots";
    type Key = String;

    fn key(&self) -> String {
        self.stream.clone()
    }
}

/// How far a rebuild is.
#[derive(Clone, Debug)]
pub(super) struct RebuildRow {
    pub(super) projection: String,
    pub(super) state: RebuildState,
}

impl Record for RebuildRow {
    const TABLE: &'static str = "eventstore_rebuilds";
    type Key = String;

    fn key(&self) -> String {
        self.projection.clone()
    }
}
