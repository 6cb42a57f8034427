//! Ports of an inbox.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_inbox::{Admission, Error, Inbox, MarkRetention, Swept};
use mainstay_messaging::{Delivery, Group, Position};

use crate::Ports;

#[async_trait]
impl<T: Inbox> Inbox for Ports<Arc<T>> {
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
impl<T: MarkRetention> MarkRetention for Ports<Arc<T>> {
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
    ) -> Result<Swept, Error> {
        let sweeping = self.port.sweep(consumer, horizon, cursor, limit);
        self.points.call("sweep", sweeping).await
    }
}
