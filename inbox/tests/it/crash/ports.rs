//! Ports that can be struck.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_inbox::{Admission, Error, Inbox, Pruned, Retention};
use mainstay_messaging::{Consumer, ConsumerEvent, Delivery, Flow, Group, Partition, Position};
use mainstay_testkit::crash::Points;
use tokio_util::sync::CancellationToken;

use super::{Service, scene::Scene};

/// A port of a run that is struck at one of its calls.
pub(super) struct Ports<T: ?Sized> {
    points: Arc<Points>,
    port: Arc<T>,
}

impl<T: ?Sized> Ports<T> {
    pub(super) fn new(port: Arc<T>, points: &Arc<Points>) -> Arc<Self> {
        let points = Arc::clone(points);
        Arc::new(Self { points, port })
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
    ) -> Result<Vec<Admission>, Error> {
        let admitting = self.port.admit_batch(connection, consumer, deliveries);
        self.points.call("admit_batch", admitting).await
    }
}

#[async_trait]
impl<T: Retention> Retention for Ports<T> {
    async fn now(&self) -> Result<SystemTime, Error> {
        self.points.call("now", self.port.now()).await
    }
    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error> {
        let recording = self.port.checkpoint(consumer, positions, at, spacing);
        self.points.call("checkpoint", recording).await
    }
    async fn sweep(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        let sweeping = self.port.sweep(consumer, horizon, cursor, limit);
        self.points.call("sweep", sweeping).await
    }
}

/// A member that writes down what was stored, and ends the worker when everything is.
pub(super) struct Member<F: Service> {
    pub(super) points: Arc<Points>,
    pub(super) scene: Arc<Scene<F>>,
    pub(super) consumer: F::Consumer,
    pub(super) quiet: CancellationToken,
}

#[async_trait]
impl<F: Service> Consumer for Member<F> {
    async fn next(&mut self) -> Result<ConsumerEvent, mainstay_messaging::Error> {
        self.points.call("next", self.consumer.next()).await
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), mainstay_messaging::Error> {
        // What is durable before it is stored was durable in time.
        self.scene.look().await;
        let storing = async {
            let stored = self.consumer.commit(positions).await;
            self.scene.stored(positions);
            stored
        };
        self.points.call("store", storing).await?;
        if self.scene.is_done().await {
            self.quiet.cancel();
        }
        Ok(())
    }

    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        self.consumer.flow(partitions, flow);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), mainstay_messaging::Error> {
        self.points
            .call("release", self.consumer.release(partitions))
            .await
    }
}
