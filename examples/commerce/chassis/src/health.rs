//! What the work behind a service says of itself, for people and probes.

use std::sync::Arc;

use jiff::Timestamp;
use mainstay_inbox::{BlockedKey, Worker};
use mainstay_messaging::Publisher;
use mainstay_outbox::{Activity, Relay};
use serde::Serialize;

use crate::{
    Db,
    db::{Inbox, Outbox},
    rfc3339,
};

/// The relay and the worker of a service, to be asked how they are.
#[derive(Clone, Debug)]
pub struct Vitals {
    pub(crate) service: &'static str,
    pub(crate) relay: Arc<Relay<Outbox, dyn Publisher>>,
    pub(crate) worker: Arc<Worker<Db, Inbox>>,
}

/// A service's background work at one moment.
#[derive(Serialize, Debug)]
pub struct Health {
    service: &'static str,
    /// Whether everything flows.
    pub healthy: bool,
    outbox: OutboxHealth,
    inbox: InboxHealth,
}

#[derive(Serialize, Debug)]
struct OutboxHealth {
    activity: &'static str,
    blocked_keys: u64,
    oldest_unsent_seconds: f64,
    last_error: Option<String>,
}

#[derive(Serialize, Debug)]
struct InboxHealth {
    running: bool,
    last_error: Option<String>,
    stopped: Vec<Stopped>,
}

/// A key that waits for somebody, and the message it waits at: that one lies unchanged in the log, at `position`.
#[derive(Serialize, Debug)]
struct Stopped {
    position: String,
    key: Option<String>,
    since: String,
    attempts: u32,
    error: String,
    waiting: usize,
}

impl Vitals {
    /// How they are now.
    #[must_use]
    pub fn health(&self) -> Health {
        let (relay, worker) = (self.relay.status(), self.worker.status());
        Health {
            service: self.service,
            healthy: relay.is_healthy() && worker.is_healthy(),
            outbox: OutboxHealth {
                activity: match relay.activity {
                    Activity::Standby => "standby",
                    Activity::Publishing => "publishing",
                    Activity::Waiting => "waiting",
                    _ => "stopped",
                },
                blocked_keys: relay.blocked_keys,
                oldest_unsent_seconds: relay.oldest_unsent.as_secs_f64(),
                last_error: relay.last_error,
            },
            inbox: InboxHealth {
                running: worker.running,
                last_error: worker.last_error.as_deref().map(str::to_owned),
                stopped: worker.stopped.into_iter().map(Stopped::from).collect(),
            },
        }
    }
}

impl From<BlockedKey> for Stopped {
    fn from(stopped: BlockedKey) -> Self {
        Self {
            position: stopped.position.to_string(),
            key: stopped.key.map(|key| key.to_string()),
            since: rfc3339(Timestamp::try_from(stopped.since).map_or(0, Timestamp::as_microsecond)),
            attempts: stopped.attempts,
            error: stopped.error.to_string(),
            waiting: stopped.waiting,
        }
    }
}
