//! Ports at whose calls a process ends: one decorator for crash tests and chaos tests.
//!
//! [`Ports`] implements each port of the crates that the port behind it implements, and takes each call by the
//! [`Points`] of the run. The points carry the names of the methods; that of a consumer's commit is `store`.
//!
//! | feature | ports |
//! |---|---|
//! | none | `Transactions`, `Publisher`, `Consumer` |
//! | `outbox` | `Outbox`, `RelayStore` |
//! | `inbox` | `Inbox`, `MarkRetention` |
//!
//! A pattern crate's integration tests use it, though it imports the pattern crates: a dev-dependency may close such a circle.

#[cfg(feature = "inbox")]
mod inbox;
#[cfg(feature = "outbox")]
mod outbox;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_messaging::{
    Consumer, Error, Flow, Incoming, Message, Partition, Position, Publication, Publisher,
};
use mainstay_testkit::crash::Points;

/// A port of a process, and the points at which the process may end. Ports that are shared are in an [`Arc`].
#[derive(Debug)]
pub struct Ports<P> {
    points: Arc<Points>,
    port: P,
}

impl<P> Ports<P> {
    /// The port, called by way of these points.
    pub fn new(port: P, points: &Arc<Points>) -> Self {
        Self {
            points: Arc::clone(points),
            port,
        }
    }
}

#[async_trait]
impl<T: Transactions> Transactions for Ports<Arc<T>> {
    type Connection = T::Connection;
    type Transaction = T::Transaction;

    async fn begin(&self) -> Result<T::Transaction, mainstay_database::Error> {
        self.points.call("begin", self.port.begin()).await
    }

    async fn commit(&self, transaction: T::Transaction) -> Result<(), mainstay_database::Error> {
        let committing = self.port.commit(transaction);
        self.points.call("commit", committing).await
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.port.idle_limit()
    }
}

#[async_trait]
impl<T: Publisher> Publisher for Ports<Arc<T>> {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
        let publishing = self.port.publish(messages);
        self.points.call("publish", publishing).await
    }
}

#[async_trait]
impl<T: Consumer> Consumer for Ports<T> {
    async fn next(&mut self) -> Result<Incoming, Error> {
        self.points.call("next", self.port.next()).await
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        self.points.call("store", self.port.commit(positions)).await
    }

    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        self.port.flow(partitions, flow);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        let releasing = self.port.release(partitions);
        self.points.call("release", releasing).await
    }
}
