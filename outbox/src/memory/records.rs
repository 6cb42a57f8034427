//! The tables.

use std::time::SystemTime;

use mainstay_database::memory::Record;
use mainstay_messaging::{Key, Topic};

use crate::{
    DeduplicationKey,
    operator::Act,
    store::{Content, FencingToken, ShardLease},
};

/// A message that is committed and not yet published.
#[derive(Clone, Debug)]
pub(super) struct LogRow {
    pub(super) position: i64,
    pub(super) shard: u16,
    pub(super) ordering_key: Option<(Topic, Key)>,
    pub(super) content: Content,
}

/// A row of the deferred table: a delayed message, or one of a blocked key.
#[derive(Clone, Debug)]
pub(super) struct DeferredRow {
    pub(super) position: i64,
    pub(super) shard: u16,
    pub(super) ordering_key: Option<(Topic, Key)>,
    pub(super) content: Content,
    pub(super) blocked: bool,
    /// When it is delivered or tried again; long ago for messages held behind a refused one.
    pub(super) due_at: SystemTime,
    pub(super) attempts: u32,
    pub(super) reason: Option<String>,
}

/// What an operator did, with the message that it discarded.
#[derive(Clone, Debug)]
pub(super) struct ActRow {
    pub(super) act: Act,
    pub(super) content: Option<Content>,
}

/// A deduplication key that was used.
#[derive(Clone, Debug)]
pub(super) struct DeduplicationKeyRow {
    pub(super) deduplication_key: DeduplicationKey,
    pub(super) used_at: SystemTime,
}

/// The owner of a shard.
#[derive(Clone, Debug)]
pub(super) struct ShardRow {
    pub(super) shard: u16,
    pub(super) owner: Option<String>,
    pub(super) fence: FencingToken,
}

/// A living relay.
#[derive(Clone, Debug)]
pub(super) struct RelayRow {
    pub(super) owner: String,
    pub(super) lease_until: SystemTime,
}

/// What every process must agree on, in one row. Relays lock it while they divide shards.
#[derive(Clone, Debug)]
pub(super) struct LayoutRow {
    pub(super) shards: u16,
}

impl ShardRow {
    pub(super) const fn lease(&self) -> ShardLease {
        ShardLease {
            shard: self.shard,
            fence: self.fence,
        }
    }
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

impl Record for ActRow {
    const TABLE: &'static str = "outbox_acts";
    type Key = i64;
    fn key(&self) -> i64 {
        self.act.id
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
