//! Ports that can be struck.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_messaging::{Message, Publisher, broker::PublishOutcome};
use mainstay_outbox::{
    Enqueued, Entry, Error, Outbox,
    conformance::Tape,
    store::{Fetched, Limit, Notifier, Origin, Outcome, RelayStore, ShardLease},
};
use mainstay_testkit::{
    History,
    crash::Points,
    history::{self, Moment, Place, Published, Stop},
};
use tokio_util::sync::CancellationToken;

/// A port of a run that is struck at one of its calls.
pub(super) struct Ports<T: ?Sized> {
    pub(super) points: Arc<Points>,
    pub(super) port: Arc<T>,
}

impl<T: ?Sized> Ports<T> {
    pub(super) fn new(port: Arc<T>, points: &Arc<Points>) -> Self {
        Self {
            points: Arc::clone(points),
            port,
        }
    }
}

#[async_trait]
impl<T: Transactions> Transactions for Ports<T> {
    type Connection = T::Connection;
    type Transaction = T::Transaction;

    async fn begin(&self) -> Result<T::Transaction, mainstay_database::Error> {
        self.points.call("begin", self.port.begin()).await
    }
    async fn commit(&self, transaction: T::Transaction) -> Result<(), mainstay_database::Error> {
        self.points
            .call("commit", self.port.commit(transaction))
            .await
    }
    fn idle_limit(&self) -> Option<Duration> {
        self.port.idle_limit()
    }
}

#[async_trait]
impl<T: Outbox> Outbox for Ports<T> {
    type Connection = T::Connection;

    async fn enqueue_batch(
        &self,
        connection: &mut T::Connection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        let enqueuing = self.port.enqueue_batch(connection, entries);
        self.points.call("enqueue_batch", enqueuing).await
    }
    async fn enqueue(
        &self,
        connection: &mut T::Connection,
        message: &Message,
    ) -> Result<(), Error> {
        let enqueuing = self.port.enqueue(connection, message);
        self.points.call("enqueue", enqueuing).await
    }
    fn notify(&self) {
        self.port.notify();
    }
    fn origin(&self) -> &Origin {
        self.port.origin()
    }
}

/// A relay's store that ends the relay when it has nothing left to do.
pub(super) struct Rounds<S> {
    store: Ports<S>,
    quiet: CancellationToken,
}

impl<S> Rounds<S> {
    pub(super) const fn new(store: Ports<S>, quiet: CancellationToken) -> Self {
        Self { store, quiet }
    }
}

#[async_trait]
impl<S: RelayStore> RelayStore for Rounds<S> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        let Ports { points, port } = &self.store;
        points.call("lease", port.lease(owner, lease)).await
    }
    async fn fetch(&self, holds: &[ShardLease], limit: Limit) -> Result<Fetched, Error> {
        let Ports { points, port } = &self.store;
        let fetched = points.call("fetch", port.fetch(holds, limit)).await?;
        if fetched.rows.is_empty() && fetched.blocked_keys == 0 && fetched.next_due.is_none() {
            self.quiet.cancel();
        }
        Ok(fetched)
    }
    async fn record(&self, holds: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        let Ports { points, port } = &self.store;
        points.call("record", port.record(holds, outcome)).await
    }
    async fn release(&self, owner: &str) -> Result<(), Error> {
        let Ports { points, port } = &self.store;
        points.call("release", port.release(owner)).await
    }
    fn notifier(&self) -> Option<&Notifier> {
        self.store.port.notifier()
    }
}

#[async_trait]
impl<P: Publisher> Publisher for Ports<P> {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        self.points
            .call("publish", self.port.publish(messages))
            .await
    }
}

/// A broker that outlives every crash. What it refuses it takes after so many refusals.
#[derive(Default)]
pub(super) struct Broker {
    pub(super) tape: Tape,
    refusals: usize,
    stops: Mutex<Vec<Stop>>,
}

impl Broker {
    /// One that refuses the message with this id so often.
    pub(super) fn refusing(id: &str, refusals: usize) -> Self {
        let broker = Self {
            refusals,
            ..Self::default()
        };
        broker.tape.refuse(id);
        broker
    }

    /// What it has seen of `committed`.
    pub(super) fn history(&self, committed: &[Message]) -> History {
        let published = self.tape.stored().into_iter().zip(0..);
        History {
            committed: committed.iter().map(entry).collect(),
            published: published
                .map(|(message, offset)| Published {
                    topic: message.topic.to_string(),
                    partition: 0,
                    offset,
                    entry: entry(&message),
                })
                .collect(),
            stops: self.stops.lock().unwrap().clone(),
            ..History::default()
        }
    }
}

fn entry(message: &Message) -> history::Entry {
    let payload = message.payload.as_deref().unwrap();
    history::Entry {
        key: message.key.as_ref().map(ToString::to_string),
        number: std::str::from_utf8(payload).unwrap().parse().unwrap(),
        id: message.id.to_string(),
        attempt: String::new(),
    }
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let answers = self.tape.publish(messages).await;
        for (message, answer) in messages.iter().zip(&answers) {
            if let PublishOutcome::Refused(_) = answer {
                self.stops.lock().unwrap().push(Stop {
                    at: Place::Outbox,
                    key: message.key.as_ref().map(ToString::to_string),
                    id: message.id.to_string(),
                    seen: Moment {
                        published: self.tape.ids().len(),
                        ..Moment::default()
                    },
                    lasting: false,
                });
            }
        }
        if self.tape.refusals() >= self.refusals {
            self.tape.accept();
        }
        answers
    }
}
