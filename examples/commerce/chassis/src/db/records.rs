//! The answers to requests with an idempotency key, in the service's own database.

use async_trait::async_trait;
use mainstay_idempotency::{
    Answer, Begun, Claim, Error, KeyedRequest, Records as Role,
    store::{RecordStore, Sweep},
};

use super::{Connection, Db, backend};

/// The store with the transactions of [`Db`], which have fault points. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Records {
    store: backend::Records,
    db: Db,
}

impl Records {
    pub(super) const fn new(store: backend::Records, db: Db) -> Self {
        Self { store, db }
    }
}

impl RecordStore for Records {
    type Database = Db;

    fn database(&self) -> &Db {
        &self.db
    }
}

#[async_trait]
impl Role for Records {
    type Connection = Connection;

    async fn begin_batch(
        &self,
        connection: &mut Connection,
        requests: &[&KeyedRequest],
    ) -> Result<Vec<Begun<Claim>>, Error> {
        self.store.begin_batch(connection, requests).await
    }

    async fn complete_batch(
        &self,
        connection: &mut Connection,
        completions: Vec<(Claim, &Answer)>,
    ) -> Result<(), Error> {
        self.store.complete_batch(connection, completions).await
    }

    async fn begin(
        &self,
        connection: &mut Connection,
        request: &KeyedRequest,
    ) -> Result<Begun<Claim>, Error> {
        self.store.begin(connection, request).await
    }

    async fn complete(
        &self,
        connection: &mut Connection,
        claim: Claim,
        answer: &Answer,
    ) -> Result<(), Error> {
        self.store.complete(connection, claim, answer).await
    }
}

#[async_trait]
impl Sweep for Records {
    async fn sweep(&self, limit: u32) -> Result<u64, Error> {
        self.store.sweep(limit).await
    }
}
