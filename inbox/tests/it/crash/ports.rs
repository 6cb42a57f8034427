//! Ports that can be struck.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_database::Transactions;
use mainstay_inbox::{
    Admission, Error, Inbox,
    store::{Pruned, Retention, WorkerStore},
};
use mainstay_messaging::{
    Consumer, Group, Partition, Position,
    broker::{ConsumerEvent, Delivery},
};
use mainstay_testkit::crash::Points;
use tokio_util::sync::CancellationToken;

use super::{Service, scene::Scene};

/// A port of a run that is struck at one of its calls.
pub(super) struct Ports<I> {
    points: Arc<Points>,
    port: Arc<I>,
    database: Database<I>,
}

/// The database of an inbox, struck as well.
pub(super) struct Database<I> {
    points: Arc<Points>,
    inbox: Arc<I>,
}

impl<I> Ports<I> {
    pub(super) fn inbox(inbox: I, points: &Arc<Points>) -> Self {
        let port = Arc::new(inbox);
        let database = Database {
            points: Arc::clone(points),
            inbox: Arc::clone(&port),
        };
        let points = Arc::clone(points);
        Self {
            points,
            port,
            database,
        }
    }
}

impl<I: WorkerStore> WorkerStore for Ports<I> {
    type Database = Database<I>;

    fn database(&self) -> &Database<I> {
        &self.database
    }
}

type Transaction<I> = <<I as WorkerStore>::Database as Transactions>::Transaction;

#[async_trait]
impl<I: WorkerStore> Transactions for Database<I> {
    type Connection = I::Connection;
    type Transaction = Transaction<I>;

    async fn begin(&self) -> Result<Transaction<I>, mainstay_database::Error> {
        let beginning = self.inbox.database().begin();
        self.points.call("begin", beginning).await
    }
    async fn commit(&self, transaction: Transaction<I>) -> Result<(), mainstay_database::Error> {
        let committing = self.inbox.database().commit(transaction);
        self.points.call("commit", committing).await
    }
    fn idle_limit(&self) -> Option<Duration> {
        self.inbox.database().idle_limit()
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
    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        let pruning = self.port.prune(consumer, horizon, cursor, limit);
        self.points.call("prune", pruning).await
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

    fn group(&self) -> &Group {
        self.consumer.group()
    }

    fn pause(&mut self, partitions: &[Partition]) {
        self.consumer.pause(partitions);
    }

    fn resume(&mut self, partitions: &[Partition]) {
        self.consumer.resume(partitions);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), mainstay_messaging::Error> {
        self.points
            .call("release", self.consumer.release(partitions))
            .await
    }
}
