//! The tables.

use std::time::SystemTime;

use mainstay_database::memory::Record;
use mainstay_messaging::{Key, Topic};

use crate::{Content, DeduplicationKey};

/// A message that was committed and is not yet published.
#[derive(Clone, Debug)]
pub(super) struct LogRow {
    pub(super) position: i64,
    pub(super) shard: u16,
    pub(super) lane: Option<(Topic, Key)>,
    pub(super) content: Content,
}

/// The deferred table: delayed messages, and those of blocked keys.
#[derive(Clone, Debug)]
pub(super) struct DeferredRow {
    pub(super) position: i64,
    pub(super) shard: u16,
    pub(super) lane: Option<(Topic, Key)>,
    pub(super) content: Content,
    pub(super) stopped: bool,
    /// When it is delivered, or tried again; long ago for what follows the head of a blocked key.
    pub(super) due_at: SystemTime,
    pub(super) attempts: u32,
    pub(super) reason: Option<String>,
}

/// An deduplication key that was used.
#[derive(Clone, Debug)]
pub(super) struct DeduplicationKeyRow {
    pub(super) deduplication_key: DeduplicationKey,
    pub(super) used_at: SystemTime,
}

/// Who publishes what.
#[derive(Clone, Debug)]
pub(super) struct ShardRow {
    pub(super) shard: u16,
    pub(super) owner: Option<String>,
    pub(super) fence: i64,
}

/// A relay that is alive.
#[derive(Clone, Debug)]
pub(super) struct RelayRow {
    pub(super) owner: String,
    pub(super) lease_until: SystemTime,
}

/// What every process must agree on: one row. Locked by who changes owners.
#[derive(Clone, Debug)]
pub(super) struct LayoutRow {
    pub(super) shards: u16,
}

impl Record for LogRow {
    const TABLE: &'static str = "outbox";
    type Key = i64;
    fn key(&self) -> i64 {
        self.position
    }
}

impl Record for DeferredRow {
    const TABLE: &'static str = "outbox_deferred";
    type Key = i64;
    fn key(&self) -> i64 {
        self.position
    }
}

impl Record for DeduplicationKeyRow {
    const TABLE: &'static str = "outbox_deduplication_keys";
    type Key = DeduplicationKey;
    fn key(&self) -> DeduplicationKey {
        self.deduplication_key.clone()
    }
}

impl Record for ShardRow {
    const TABLE: &'static str = "outbox_shards";
    type Key = u16;
    fn key(&self) -> u16 {
        self.shard
    }
}

impl Record for RelayRow {
    const TABLE: &'static str = "outbox_relays";
    type Key = String;
    fn key(&self) -> String {
        self.owner.clone()
    }
}

impl Record for LayoutRow {
    const TABLE: &'static str = "outbox_layout";
    type Key = ();
    fn key(&self) {}
}
