//! A worker's membership of its group.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_messaging::{Consumer, Error, Flow, Incoming, Partition, Position};
use tokio_util::sync::CancellationToken;

use super::{Service, scene::Scene};

/// A member that writes down what was stored, and ends the worker when everything is.
pub(super) struct Member<F: Service> {
    pub(super) consumer: F::Consumer,
    pub(super) scene: Arc<Scene<F>>,
    pub(super) quiet: CancellationToken,
}

#[async_trait]
impl<F: Service> Consumer for Member<F> {
    async fn next(&mut self) -> Result<Incoming, Error> {
        self.consumer.next().await
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        // What is durable before it is stored was durable in time.
        self.scene.look().await;
        let stored = self.consumer.commit(positions).await;
        self.scene.stored(positions);
        if stored.is_ok() && self.scene.is_done().await {
            self.quiet.cancel();
        }
        stored
    }

    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        self.consumer.flow(partitions, flow);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.consumer.release(partitions).await
    }
}
