//! Ports of sagas.

use std::{ops::Deref, sync::Arc, time::Duration};

use mainstay_saga::{
    Error, RunId,
    definition::Fingerprint,
    store::{Created, NewRun, SagaStore, SavedRun, StoredRun},
};
use mainstay_testkit::crash::Points;

use crate::Ports;

/// Sagas and their database, called by way of the same points. Clones share them.
#[derive(Debug)]
pub struct SagaPorts<S> {
    points: Arc<Points>,
    database: Arc<Ports<SagaDatabase<S>>>,
    port: Arc<S>,
}

impl<S> SagaPorts<S> {
    /// The store, called by way of these points.
    pub fn new(store: S, points: &Arc<Points>) -> Self {
        let port = Arc::new(store);
        let database = SagaDatabase(Arc::clone(&port));
        Self {
            points: Arc::clone(points),
            database: Arc::new(Ports::new(database, points)),
            port,
        }
    }
}

impl<S> Clone for SagaPorts<S> {
    fn clone(&self) -> Self {
        Self {
            points: Arc::clone(&self.points),
            database: Arc::clone(&self.database),
            port: Arc::clone(&self.port),
        }
    }
}

/// The database of sagas.
#[derive(Debug)]
pub struct SagaDatabase<S>(Arc<S>);

impl<S: SagaStore> Deref for SagaDatabase<S> {
    type Target = S::Database;

    fn deref(&self) -> &S::Database {
        self.0.database()
    }
}

#[async_trait::async_trait]
impl<S: SagaStore> SagaStore for SagaPorts<S> {
    type Connection = S::Connection;
    type Database = Ports<SagaDatabase<S>>;

    fn database(&self) -> &Self::Database {
        &self.database
    }

    async fn create(
        &self,
        connection: &mut S::Connection,
        run: &NewRun<'_>,
    ) -> Result<Created, Error> {
        let call = self.port.create(connection, run);
        self.points.call("create", call).await
    }

    async fn find(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        key: &str,
    ) -> Result<Option<RunId>, Error> {
        let call = self.port.find(connection, saga, key);
        self.points.call("find", call).await
    }

    async fn lock(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        runs: &[RunId],
    ) -> Result<Vec<StoredRun>, Error> {
        let call = self.port.lock(connection, saga, runs);
        self.points.call("lock", call).await
    }

    async fn lock_due(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        definitions: &[Fingerprint],
        limit: u32,
    ) -> Result<Vec<StoredRun>, Error> {
        let call = self.port.lock_due(connection, saga, definitions, limit);
        self.points.call("lock_due", call).await
    }

    async fn save(
        &self,
        connection: &mut S::Connection,
        runs: &[SavedRun<'_>],
    ) -> Result<(), Error> {
        self.points
            .call("save", self.port.save(connection, runs))
            .await
    }

    async fn postpone(
        &self,
        connection: &mut S::Connection,
        run: &RunId,
        delay: Duration,
    ) -> Result<(), Error> {
        let call = self.port.postpone(connection, run, delay);
        self.points.call("postpone", call).await
    }

    async fn prune(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error> {
        let call = self.port.prune(connection, saga, retention, limit);
        self.points.call("prune", call).await
    }
}
