//! The inbox of a service, on the service's own database.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use mainstay_inbox::{
    Admission, Error,
    store::{Inbox as Role, Pruned, Retention, WorkerStore},
};
use mainstay_messaging::{Delivery, Group, Position};

use super::{Connection, Db, backend};

/// The store with the transactions of [`Db`], which have fault points.
#[derive(Clone, Debug)]
pub struct Inbox {
    store: backend::Inbox,
    db: Db,
}

impl Inbox {
    pub(super) const fn new(store: backend::Inbox, db: Db) -> Self {
        Self { store, db }
    }
}

impl WorkerStore for Inbox {
    type Database = Db;

    fn database(&self) -> &Db {
        &self.db
    }
}

#[async_trait]
impl Role for Inbox {
    type Connection = Connection;

    async fn admit_batch(
        &self,
        connection: &mut Connection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error> {
        self.store
            .admit_batch(connection, consumer, deliveries)
            .await
    }
}

#[async_trait]
impl Retention for Inbox {
    async fn now(&self) -> Result<SystemTime, Error> {
        self.store.now().await
    }

    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error> {
        self.store
            .checkpoint(consumer, positions, at, spacing)
            .await
    }

    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        self.store.prune(consumer, horizon, cursor, limit).await
    }
}
