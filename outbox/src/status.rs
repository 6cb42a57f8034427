//! What a relay says about itself, for health endpoints.

use std::time::Duration;

/// A relay's state at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub activity: Activity,
    /// Shards it owns.
    pub shards: usize,
    /// Messages it has published since it was made.
    pub published: u64,
    /// Keys that a refused message has stopped, among its shards.
    pub blocked_keys: u64,
    /// Age of the oldest row it saw and could not publish in its last round, by the message's own time; zero when
    /// nothing is left.
    pub oldest_unsent: Duration,
    /// What went wrong last, with causes, until a round goes well again.
    pub last_error: Option<String>,
}

/// What a relay is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Activity {
    /// It was not started, or has ended.
    Stopped,
    /// Other relays own every shard; it waits for one to end.
    Standby,
    /// It publishes what comes.
    Publishing,
    /// The broker or the database does not answer; it tries again.
    Waiting,
}

impl Status {
    pub(crate) const fn new() -> Self {
        Self {
            activity: Activity::Stopped,
            shards: 0,
            published: 0,
            blocked_keys: 0,
            oldest_unsent: Duration::ZERO,
            last_error: None,
        }
    }

    /// Whether messages flow, or could.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        matches!(self.activity, Activity::Standby | Activity::Publishing) && self.blocked_keys == 0
    }
}
