//! The role that a relay works on: whose rows, which rows, what became of them.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_messaging::{Key, Message, Topic};

use crate::{Error, Notifier};

/// Outbox rows from a relay's point of view. The store owns its connections.
#[async_trait]
pub trait RelayStore: Send + Sync + 'static {
    /// Says that `owner` is alive for `lease` from now, and which shards are its own.
    ///
    /// # Behaviour
    /// - Shards are divided evenly among the living; one that is due elsewhere is given up here and taken there.
    /// - A shard has one owner. Its fence rises with every change of owner, and stays while the owner renews.
    /// - Whether a lease has ended is decided by the database's clock (SQLite: the host's suspend-aware one).
    /// - Call it only while nothing is in flight: what is not in the answer must not be sent any more.
    ///
    /// # Cancel safety
    /// Cancel safe: what was taken is told by the next call.
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error>;

    /// Reads what can be published now.
    ///
    /// # Behaviour
    /// - Rows of the log in position order, as far as they are *visible*: never "behind the last one seen", since
    ///   positions are drawn before commit and gaps fill later.
    /// - Of the deferred table: the rows of blocked keys whose head is due for another attempt, in order and all of them
    ///   whatever their own due time, and delayed rows that have fallen due.
    /// - Which keys are stopped is read in the same snapshot.
    /// - A row whose message cannot be read comes as [`Content::Unreadable`], not as an error.
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn fetch(&self, holds: &[ShardLease], limit: Limit) -> Result<Fetched, Error>;

    /// Writes down what became of fetched rows, all of it or nothing.
    ///
    /// # Behaviour
    /// - Checks every fence in the same transaction; one that has risen refuses everything.
    /// - Acknowledged rows are gone. Stopped rows and their followers are in the deferred table, in order.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another relay has taken over.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether it was written; writing it again is right.
    async fn record(&self, holds: &[ShardLease], outcome: &Outcome) -> Result<(), Error>;

    /// Gives up all shards of `owner` at once, so that nobody has to wait for its lease to end.
    async fn release(&self, owner: &str) -> Result<(), Error>;

    /// What enqueues of this process ring, if the store can hear them. Without it a relay polls.
    fn notifier(&self) -> Option<&Notifier> {
        None
    }
}

/// A shard that a relay owns, and the fence that proves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a claim has these two parts")]
pub struct ShardLease {
    /// The shard.
    pub shard: u16,
    /// Rises with every change of owner.
    pub fence: i64,
}

/// How much to read at once. The first row is read whatever its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there are these two bounds")]
pub struct Limit {
    /// Rows of the log, and as many of blocked keys and of delayed ones.
    pub messages: u32,
    /// Bytes of both together.
    pub bytes: usize,
}

/// What [`RelayStore::fetch`] found.
#[derive(Default, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct Fetched {
    /// In the order in which they are to be published, per key.
    pub rows: Vec<Row>,
    /// How long until the next row of the deferred table falls due.
    pub next_due: Option<Duration>,
    /// Keys that are stopped.
    pub blocked_keys: u64,
}

/// One row.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate build it"
)]
pub struct Row {
    /// Where it lies.
    pub place: RowRef,
    /// What orders it: rows of one lane are published in order or not at all. None = nothing.
    pub lane: Option<(Topic, Key)>,
    /// Whether its lane has stopped rows in the deferred table that come before it.
    pub stopped: bool,
    /// How often it was refused.
    pub attempts: u32,
    /// The message.
    pub content: Content,
}

/// Where a row lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there are these three places")]
pub enum RowRef {
    /// In the log, at this position.
    Log(i64),
    /// In the deferred table: a message that was delayed and has fallen due.
    Delayed(i64),
    /// In the deferred table: a message of a blocked key.
    Stopped(i64),
}

/// What a row holds.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "it can be read or it cannot")]
#[expect(clippy::large_enum_variant, reason = "nearly every row is a message")]
pub enum Content {
    /// A message.
    Message(Message),
    /// Something this build cannot read (damaged, or written by a newer build), and why. The row stays as it is.
    Unreadable(String),
}

/// What became of a round's rows. Rows it does not name stay where they are.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate read it"
)]
pub struct Outcome {
    /// Published: remove them.
    pub acknowledged: Vec<RowRef>,
    /// Refused for good: each stops its key.
    pub stopped: Vec<Stop>,
    /// Behind a stopped row of their key: they wait at its end, in this order.
    pub following: Vec<RowRef>,
}

/// A refused row.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores outside this crate read it"
)]
pub struct Stop {
    /// Where it lies.
    pub place: RowRef,
    /// How often it was refused, this time included.
    pub attempts: u32,
    /// How long to wait, by the store's own clock, before it is tried again.
    pub retry_after: Duration,
    /// Why it was refused, with causes.
    pub reason: String,
}
