//! What the author of a store needs: the role that a relay works on, and the types it exchanges.
//!
//! A store implements [`Outbox`](crate::Outbox) for applications and [`RelayStore`] for the relay.
//! Run the suite of `mainstay_outbox::conformance` (feature `conformance`) against it.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_messaging::{Key, Message, Topic};

use crate::Error;

pub use crate::notifier::Notifier;
pub use crate::origin::Origin;
pub use crate::shard::{SHARD_HASH, fair_share, shard_of};

/// The rows of an outbox as a relay sees them. The store owns its connections.
#[async_trait]
pub trait RelayStore: Send + Sync + 'static {
    /// Extends the lease of the relay `owner` to `lease` from now and returns the shards it owns.
    ///
    /// # Behaviour
    /// - Shards are divided evenly among the living relays. A relay gives up shards above its share.
    /// - A shard has one owner. Its fencing token grows with every change of owner and stays the
    ///   same while the owner renews.
    /// - The database's clock decides whether a lease has ended. On SQLite it is the host's
    ///   monotonic clock, which includes suspended time.
    /// - Call it only while no publish call is in flight. The relay must not publish rows of a shard
    ///   that is not in the answer.
    ///
    /// # Cancel safety
    /// Cancel safe: the next call returns what this one took.
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error>;

    /// Reads the rows that can be published now, besides those that are `in_flight`.
    ///
    /// # Behaviour
    /// - Returns rows of the log in position order, as far as they are *visible*. A store never reads
    ///   "after the last position seen": positions are drawn before the commit, and gaps fill later.
    /// - Leaves out exactly the rows of the log that `in_flight` names: the relay is publishing or
    ///   recording them. It returns a row that became visible between two of them. They take nothing
    ///   of the limit.
    /// - Returns delayed rows whose delivery time has come.
    /// - Returns all rows of a blocked key in order once its first row is due for another attempt,
    ///   whatever the due times of the others. Keys that are due share the limit.
    /// - Runs beside [`record`](Self::record): the relay reads the next rows while it publishes and
    ///   records others. With connections of its own for each, a relay needs two at once.
    /// - Reads no more than the limit asks for, however many rows wait.
    /// - Reads the set of blocked keys in the same snapshot.
    /// - Returns a row whose message cannot be read as [`Content::Unreadable`], not as an error.
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error>;

    /// Records the outcome of fetched rows, all of it or nothing.
    ///
    /// # Behaviour
    /// - Checks every fencing token in the same transaction. One outdated token refuses everything.
    /// - Removes acknowledged rows. Moves refused rows and the rows held behind them to the deferred
    ///   table, in order.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another relay has taken over a shard.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the outcome was recorded. Recording it again is
    /// correct.
    async fn record(&self, leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error>;

    /// Gives up all shards of `owner` at once, so that other relays need not wait for its lease to end.
    async fn release(&self, owner: &str) -> Result<(), Error>;

    /// The notifier that enqueues of this process use, if the store has one. Without it a relay polls.
    fn notifier(&self) -> Option<&Notifier> {
        None
    }
}

#[async_trait]
impl<S: RelayStore + ?Sized> RelayStore for Arc<S> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        (**self).lease(owner, lease).await
    }

    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        (**self).fetch(leases, limit, in_flight).await
    }

    async fn record(&self, leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        (**self).record(leases, outcome).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        (**self).release(owner).await
    }

    fn notifier(&self) -> Option<&Notifier> {
        (**self).notifier()
    }
}

/// A shard that a relay owns, and the fencing token that proves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a lease has these two parts")]
pub struct ShardLease {
    /// The shard.
    pub shard: u16,
    /// The token that every write of the owner carries.
    pub fence: FencingToken,
}

/// A number that grows with each change of a shard's owner. The store refuses writes with an older one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FencingToken(i64);

impl FencingToken {
    /// The token with this number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The token of the next owner.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number, as stores keep it.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much to read at once. The first row is read whatever its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there are these two bounds")]
pub struct Limit {
    /// Rows of the log at most; separately, rows of blocked keys and delayed rows at most.
    pub messages: u32,
    /// Bytes of all rows together.
    pub bytes: usize,
}

/// How many blocked keys a store counts at most. Counting all of them would make rounds slower the more
/// keys are blocked.
pub const MOST_COUNTED: u64 = 1_000;

/// What [`RelayStore::fetch`] found.
#[derive(Default, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others construct it")]
pub struct Fetched {
    /// Rows, per key in the order in which they are to be published.
    pub rows: Vec<Row>,
    /// Whether the limit may have left rows out. The relay then reads the next ones when it begins to
    /// publish these, whatever its [`round_interval`](crate::Relay::round_interval).
    pub more: bool,
    /// Time until the next row of the deferred table is due.
    pub next_due: Option<Duration>,
    /// Number of blocked keys in the shards. A store need not count beyond [`MOST_COUNTED`].
    pub blocked_keys: u64,
}

/// One row.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others construct it")]
pub struct Row {
    /// Where the row is.
    pub row_ref: RowRef,
    /// Topic and key. Rows with the same ones are published in order; rows without a key in any.
    pub ordering_key: Option<(Topic, Key)>,
    /// Whether the deferred table has blocked rows of the same key, which come before this one.
    pub blocked: bool,
    /// How often the broker refused it.
    pub attempts: u32,
    /// The message.
    pub content: Content,
}

/// Reference to an outbox row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there are these three places")]
pub enum RowRef {
    /// A row of the log, by its position.
    Log(i64),
    /// A row of the deferred table that was delayed and is due.
    Delayed(i64),
    /// A row of the deferred table that belongs to a blocked key.
    Blocked(i64),
}

impl RowRef {
    /// The number of a row of the log; none if it is in the deferred table, which counts by itself.
    #[must_use]
    pub const fn in_log(self) -> Option<i64> {
        match self {
            Self::Log(number) => Some(number),
            Self::Delayed(_) | Self::Blocked(_) => None,
        }
    }
}

/// What a row holds.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "it can be read or it cannot")]
#[expect(clippy::large_enum_variant, reason = "nearly every row is a message")]
pub enum Content {
    /// A message.
    Message(Message),
    /// The row is damaged or written by a newer build. The text says why; the row stays unchanged.
    Unreadable(String),
}

/// The outcome of a round. Rows it does not name stay where they are.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others read it")]
pub struct Outcome {
    /// Published rows, to be removed.
    pub acknowledged: Vec<RowRef>,
    /// Rows that the broker refused for good. Each blocks its key.
    pub refused: Vec<Refusal>,
    /// Rows held behind a refused row of their key, to be appended to it in this order.
    pub held: Vec<RowRef>,
}

/// A row that the broker refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores of others read it")]
pub struct Refusal {
    /// The row.
    pub row_ref: RowRef,
    /// How often it was refused, including this time.
    pub attempts: u32,
    /// Time until the next attempt, measured by the store's own clock.
    pub retry_after: Duration,
    /// Why it was refused, with causes.
    pub reason: String,
}
