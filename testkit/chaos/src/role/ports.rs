//! Ports at whose calls a process can be told to abort.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_inbox::{Admission, Error as InboxError, Inbox, MarkRetention, Swept};
use mainstay_messaging::{
    Consumer, Delivery, Error as BrokerError, Flow, Group, Incoming, Message, Partition, Position,
    Publication, Publisher,
};
use mainstay_outbox::{Doorbell, Error as OutboxError, Fetched, Hold, Limit, Outcome, RelayStore};
use mainstay_testkit::crash::Points;

/// A port, and the points at which the process may end.
pub(super) struct Ports<T> {
    pub(super) points: Arc<Points>,
    pub(super) port: T,
}

impl<T> Ports<T> {
    pub(super) fn new(port: T, points: &Arc<Points>) -> Self {
        Self {
            points: Arc::clone(points),
            port,
        }
    }
}

#[async_trait]
impl<T: RelayStore> RelayStore for Ports<Arc<T>> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, OutboxError> {
        self.points
            .call("lease", self.port.lease(owner, lease))
            .await
    }
    async fn fetch(&self, holds: &[Hold], limit: Limit) -> Result<Fetched, OutboxError> {
        self.points
            .call("fetch", self.port.fetch(holds, limit))
            .await
    }
    async fn record(&self, holds: &[Hold], outcome: &Outcome) -> Result<(), OutboxError> {
        self.points
            .call("record", self.port.record(holds, outcome))
            .await
    }
    async fn release(&self, owner: &str) -> Result<(), OutboxError> {
        self.points.call("release", self.port.release(owner)).await
    }
    fn doorbell(&self) -> Option<&Doorbell> {
        self.port.doorbell()
    }
}

#[async_trait]
impl<T: Publisher> Publisher for Ports<T> {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
        self.points
            .call("publish", self.port.publish(messages))
            .await
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
impl<T: Inbox> Inbox for Ports<T> {
    type Connection = T::Connection;

    async fn admit_batch(
        &self,
        connection: &mut T::Connection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, InboxError> {
        let admitting = self.port.admit_batch(connection, consumer, deliveries);
        self.points.call("admit", admitting).await
    }
}

#[async_trait]
impl<T: MarkRetention> MarkRetention for Ports<T> {
    async fn now(&self) -> Result<SystemTime, InboxError> {
        self.points.call("now", self.port.now()).await
    }
    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), InboxError> {
        let recording = self.port.checkpoint(consumer, positions, at, spacing);
        self.points.call("checkpoint", recording).await
    }
    async fn sweep(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Swept, InboxError> {
        let sweeping = self.port.sweep(consumer, horizon, cursor, limit);
        self.points.call("sweep", sweeping).await
    }
}

#[async_trait]
impl<T: Consumer> Consumer for Ports<T> {
    async fn next(&mut self) -> Result<Incoming, BrokerError> {
        self.points.call("next", self.port.next()).await
    }
    async fn commit(&mut self, positions: &[Position]) -> Result<(), BrokerError> {
        self.points.call("store", self.port.commit(positions)).await
    }
    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        self.port.flow(partitions, flow);
    }
    async fn release(&mut self, partitions: &[Partition]) -> Result<(), BrokerError> {
        self.points
            .call("leave", self.port.release(partitions))
            .await
    }
}
