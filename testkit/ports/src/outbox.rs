//! Ports of an outbox.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_messaging::Message;
use mainstay_outbox::{
    Doorbell, Enqueued, Entry, Error, Fetched, Hold, Limit, Outbox, Outcome, RelayStore,
};

use crate::Ports;

#[async_trait]
impl<T: Outbox> Outbox for Ports<Arc<T>> {
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

    fn ring(&self) {
        self.port.ring();
    }
}

#[async_trait]
impl<T: RelayStore> RelayStore for Ports<Arc<T>> {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, Error> {
        let leasing = self.port.lease(owner, lease);
        self.points.call("lease", leasing).await
    }

    async fn fetch(&self, holds: &[Hold], limit: Limit) -> Result<Fetched, Error> {
        let fetching = self.port.fetch(holds, limit);
        self.points.call("fetch", fetching).await
    }

    async fn record(&self, holds: &[Hold], outcome: &Outcome) -> Result<(), Error> {
        let recording = self.port.record(holds, outcome);
        self.points.call("record", recording).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.points.call("release", self.port.release(owner)).await
    }

    fn doorbell(&self) -> Option<&Doorbell> {
        self.port.doorbell()
    }
}
