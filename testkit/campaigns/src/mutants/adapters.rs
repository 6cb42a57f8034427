//! Faults of ports: each is an adapter between an engine and its sound port.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use clap::ValueEnum;
use mainstay_messaging::{Message, Publisher, broker::PublishOutcome};
use mainstay_outbox::{
    Error,
    store::{Fetched, Limit, Notifier, Outcome, RelayStore, RowRef, ShardLease},
};
use mainstay_simulation::standard::Adapters;

/// What is wrong with one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Adapter {
    /// A message with an unknown answer counts as published.
    UnknownTakenForDone,
    /// A refused message is dropped, and its key goes on.
    RefusedTakenForDone,
    /// The broker stores what follows a message that it did not store.
    RefusedPassed,
    /// Rows are removed before their messages are sent.
    AcknowledgeBeforePublish,
    /// The relay reads behind the last position it published, so slower transactions are skipped.
    IdCursorSkipsSlow,
    /// While a key is blocked, nothing of its relay's log is sent.
    BlockedKeyStopsShards,
}

impl Adapters for Adapter {
    fn publisher(&self, sound: Arc<dyn Publisher>) -> Arc<dyn Publisher> {
        Arc::new(Faulty::new(*self, sound))
    }

    fn store(&self, sound: Arc<dyn RelayStore>) -> Arc<dyn RelayStore> {
        Arc::new(Faulty::new(*self, sound))
    }
}

/// A port with this fault, if it is one of its own.
struct Faulty<P: ?Sized> {
    fault: Adapter,
    sound: Arc<P>,
    /// The last position of the log that was published.
    published: AtomicI64,
}

impl<P: ?Sized> Faulty<P> {
    const fn new(fault: Adapter, sound: Arc<P>) -> Self {
        Self {
            fault,
            sound,
            published: AtomicI64::new(0),
        }
    }
}

#[async_trait]
impl Publisher for Faulty<dyn Publisher> {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let mut answers = Vec::new();
        let together = match self.fault {
            Adapter::RefusedPassed => 1,
            _ => messages.len().max(1),
        };
        for messages in messages.chunks(together) {
            answers.extend(self.sound.publish(messages).await);
        }
        for answer in &mut answers {
            match (self.fault, &*answer) {
                (Adapter::UnknownTakenForDone, PublishOutcome::Unknown(_))
                | (Adapter::RefusedTakenForDone, PublishOutcome::Refused(_)) => {
                    *answer = PublishOutcome::Acknowledged;
                }
                _ => {}
            }
        }
        answers
    }
}

#[async_trait]
impl RelayStore for Faulty<dyn RelayStore> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        self.sound.lease(owner, lease).await
    }

    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        let mut fetched = self.sound.fetch(leases, limit, in_flight).await?;
        let published = self.published.load(Relaxed);
        match self.fault {
            Adapter::AcknowledgeBeforePublish => {
                let sent = fetched.rows.iter().filter(|row| !row.blocked);
                let outcome = Outcome {
                    acknowledged: sent.map(|row| row.row_ref).collect(),
                    ..Outcome::default()
                };
                self.sound.record(leases, &outcome).await?;
            }
            Adapter::IdCursorSkipsSlow => fetched
                .rows
                .retain(|row| !matches!(row.row_ref, RowRef::Log(at) if at <= published)),
            Adapter::BlockedKeyStopsShards if fetched.blocked_keys > 0 => fetched
                .rows
                .retain(|row| !matches!(row.row_ref, RowRef::Log(_))),
            _ => {}
        }
        Ok(fetched)
    }

    async fn record(&self, leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        self.sound.record(leases, outcome).await?;
        for row_ref in &outcome.acknowledged {
            if let RowRef::Log(at) = row_ref {
                self.published.fetch_max(*at, Relaxed);
            }
        }
        Ok(())
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.sound.release(owner).await
    }

    fn notifier(&self) -> Option<&Notifier> {
        self.sound.notifier()
    }
}
