//! The state of a relay, for health endpoints.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// The state of a relay at one moment. Serialises to one flat JSON object.
///
/// ```
/// # use mainstay_outbox::{MemoryOutbox, Relay, database::memory::Database, messaging::memory::Broker};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let outbox = MemoryOutbox::builder(&Database::new()).open().await?;
/// # let publisher = Broker::new().publisher();
/// let relay = Relay::new(outbox, publisher).spawn();
/// let health = serde_json::to_value(relay.status())?;
/// assert_eq!(health["blocked_keys"], 0);
/// assert_eq!(health["oldest_unpublished_seconds"], 0.0);
/// # relay.shutdown().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What the relay is doing.
    pub activity: Activity,
    /// Number of shards it owns.
    pub shards: usize,
    /// Number of messages it has published since it was created.
    pub published: u64,
    /// Number of keys in its shards that a refused message blocks; above 1,000 they are not counted.
    pub blocked_keys: u64,
    /// Age of the oldest message that its last round had not yet published; zero if there is none.
    #[serde(rename = "oldest_unpublished_seconds", serialize_with = "seconds")]
    pub oldest_unpublished: Duration,
    /// Why it made no progress, with causes; cleared by the next round that succeeds.
    pub last_error: Option<String>,
}

/// What a relay is doing.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activity {
    /// The relay has not started, or has ended.
    Stopped,
    /// Other relays own every shard. It takes over when one of them ends.
    Standby,
    /// It publishes messages as they are committed.
    Publishing,
    /// The broker or the database does not answer. It retries with backoff.
    Waiting,
}

impl Status {
    pub(crate) const fn new() -> Self {
        Self {
            activity: Activity::Stopped,
            shards: 0,
            published: 0,
            blocked_keys: 0,
            oldest_unpublished: Duration::ZERO,
            last_error: None,
        }
    }

    /// Whether the relay runs, reaches broker and database, and no key is blocked.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        matches!(self.activity, Activity::Standby | Activity::Publishing) && self.blocked_keys == 0
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
