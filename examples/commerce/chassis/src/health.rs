//! The health of a service's background work, for operators and probes.

use mainstay_dlock::LeaderHandle;
use mainstay_dlq::{ReplayerHandle, desk::Totals};
use mainstay_inbox::{
    WorkerHandle,
    status::{BlockedKey, Status},
};
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_outbox::{Activity, RelayHandle};
use serde::Serialize;
use tokio::sync::watch;

use crate::{saga_watch::StalledRuns, timestamp::rfc3339};

/// Reports the health of a service's relay, worker and replayer.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    pub(crate) service: &'static str,
    pub(crate) relay: RelayHandle,
    /// None = the service subscribes to nothing.
    pub(crate) inbox: Option<(WorkerHandle, ReplayerHandle)>,
    pub(crate) leaders: Vec<(&'static str, LeaderHandle)>,
    /// None = the service orchestrates nothing.
    pub(crate) sagas: Option<watch::Receiver<StalledRuns>>,
}

/// The health of a service's background work at one moment.
#[derive(Serialize, Debug)]
pub struct Health {
    service: &'static str,
    /// Whether relay and worker are healthy, and no message and no run of a saga waits for an operator.
    pub healthy: bool,
    outbox: OutboxHealth,
    /// None = the service subscribes to nothing.
    inbox: Option<InboxHealth>,
    dead_letters: Option<QueueHealth>,
    leaders: Vec<LeaderHealth>,
    /// None = the service orchestrates nothing.
    sagas: Option<StalledRuns>,
}

/// A candidate for work that one process does at a time.
#[derive(Serialize, Debug)]
struct LeaderHealth {
    work: &'static str,
    leads: bool,
    last_error: Option<String>,
}

#[derive(Serialize, Debug)]
struct OutboxHealth {
    activity: &'static str,
    blocked_keys: u64,
    oldest_unpublished_seconds: f64,
    last_error: Option<String>,
}

#[derive(Serialize, Debug)]
struct InboxHealth {
    running: bool,
    last_error: Option<String>,
    blocked_keys: Vec<Blocked>,
}

/// Messages that could not be handled, and those held behind them; `commerce dlq` shows them.
#[derive(Serialize, Debug)]
struct QueueHealth {
    running: bool,
    last_error: Option<String>,
    #[serde(flatten)]
    totals: Totals,
}

/// A blocked key, with the position of the dead letter in the log.
#[derive(Serialize, Debug)]
struct Blocked {
    position: String,
    key: Option<String>,
    since: String,
    attempts: u32,
    error: String,
    waiting: usize,
}

impl HealthCheck {
    /// The health now.
    #[must_use]
    pub fn check(&self) -> Health {
        let relay = self.relay.status();
        let inbox = self.inbox.as_ref();
        let worker = inbox.map(|(worker, _)| worker.status());
        let replayer = inbox.map(|(_, replayer)| replayer.status());
        let leaders: Vec<_> = self.leaders.iter().map(LeaderHealth::of).collect();
        let sagas = self.sagas.as_ref().map(|it| it.borrow().clone());
        Health {
            service: self.service,
            healthy: relay.is_healthy()
                && worker.as_ref().is_none_or(Status::is_healthy)
                && replayer.as_ref().is_none_or(|replayer| {
                    replayer.last_error.is_none() && replayer.totals == Totals::default()
                })
                && leaders.iter().all(|leader| leader.last_error.is_none())
                && sagas.as_ref().is_none_or(StalledRuns::is_healthy),
            outbox: OutboxHealth {
                activity: match relay.activity {
                    Activity::Standby => "standby",
                    Activity::Publishing => "publishing",
                    Activity::Waiting => "waiting",
                    _ => "stopped",
                },
                blocked_keys: relay.blocked_keys,
                oldest_unpublished_seconds: relay.oldest_unpublished.as_secs_f64(),
                last_error: relay.last_error,
            },
            inbox: worker.map(|worker| InboxHealth {
                running: worker.running,
                last_error: worker.last_error.as_deref().map(str::to_owned),
                blocked_keys: worker.blocked_keys.into_iter().map(Blocked::from).collect(),
            }),
            dead_letters: replayer.map(|replayer| QueueHealth {
                running: replayer.running,
                last_error: replayer.last_error.as_deref().map(str::to_owned),
                totals: replayer.totals,
            }),
            leaders,
            sagas,
        }
    }
}

impl LeaderHealth {
    fn of((work, leader): &(&'static str, LeaderHandle)) -> Self {
        let status = leader.status();
        Self {
            work,
            leads: status.leading.is_some(),
            last_error: status.last_error.as_deref().map(str::to_owned),
        }
    }
}

impl From<BlockedKey> for Blocked {
    fn from(blocked: BlockedKey) -> Self {
        Self {
            position: blocked.position.to_string(),
            key: blocked.key.map(|key| key.to_string()),
            since: rfc3339(micros_since_epoch(blocked.since)),
            attempts: blocked.attempts,
            error: blocked.error.to_string(),
            waiting: blocked.waiting,
        }
    }
}
