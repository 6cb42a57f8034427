//! Roles of shared stores.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    Begun, Created, DeskStore, LiveDefinition, NewRun, ParticipantStore, SagaStore, SavedRun,
    ShownRun, StoredRun, Unbegun,
};
use crate::{
    Error, RunId,
    definition::Fingerprint,
    operator::{Query, RunSummary},
};

#[async_trait]
impl<S: SagaStore + ?Sized> SagaStore for Arc<S> {
    type Connection = S::Connection;
    type Database = S::Database;

    fn database(&self) -> &S::Database {
        (**self).database()
    }

    async fn create(
        &self,
        connection: &mut S::Connection,
        run: &NewRun<'_>,
    ) -> Result<Created, Error> {
        (**self).create(connection, run).await
    }

    async fn create_saved(
        &self,
        connection: &mut S::Connection,
        run: &NewRun<'_>,
        saved: &SavedRun<'_>,
    ) -> Result<Created, Error> {
        (**self).create_saved(connection, run, saved).await
    }

    async fn find(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        key: &str,
    ) -> Result<Option<RunId>, Error> {
        (**self).find(connection, saga, key).await
    }

    async fn lock(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        runs: &[RunId],
    ) -> Result<Vec<StoredRun>, Error> {
        (**self).lock(connection, saga, runs).await
    }

    async fn lock_due(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        definitions: &[Fingerprint],
        limit: u32,
    ) -> Result<Vec<StoredRun>, Error> {
        (**self)
            .lock_due(connection, saga, definitions, limit)
            .await
    }

    async fn save(
        &self,
        connection: &mut S::Connection,
        runs: &[SavedRun<'_>],
    ) -> Result<(), Error> {
        (**self).save(connection, runs).await
    }

    async fn postpone(
        &self,
        connection: &mut S::Connection,
        run: &RunId,
        delay: Duration,
    ) -> Result<(), Error> {
        (**self).postpone(connection, run, delay).await
    }

    async fn prune(
        &self,
        connection: &mut S::Connection,
        saga: &str,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error> {
        (**self).prune(connection, saga, retention, limit).await
    }
}

#[async_trait]
impl<S: DeskStore + ?Sized> DeskStore for Arc<S> {
    async fn list(
        &self,
        query: &Query,
        before: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, Error> {
        (**self).list(query, before, limit).await
    }

    async fn count(&self, query: &Query, cap: u32) -> Result<u64, Error> {
        (**self).count(query, cap).await
    }

    async fn show(&self, run: &RunId) -> Result<Option<ShownRun>, Error> {
        (**self).show(run).await
    }

    async fn live(&self, saga: &str, cap: u32) -> Result<Vec<LiveDefinition>, Error> {
        (**self).live(saga, cap).await
    }
}

#[async_trait]
impl<S: ParticipantStore + ?Sized> ParticipantStore for Arc<S> {
    type Connection = S::Connection;

    async fn begin(&self, connection: &mut S::Connection, step: &str) -> Result<Begun, Error> {
        (**self).begin(connection, step).await
    }

    async fn begin_batch(
        &self,
        connection: &mut S::Connection,
        steps: &[&str],
    ) -> Result<Vec<Begun>, Error> {
        (**self).begin_batch(connection, steps).await
    }

    async fn undo(&self, connection: &mut S::Connection, step: &str) -> Result<Unbegun, Error> {
        (**self).undo(connection, step).await
    }

    async fn prune_steps(
        &self,
        connection: &mut S::Connection,
        retention: Duration,
        limit: u32,
    ) -> Result<u64, Error> {
        (**self).prune_steps(connection, retention, limit).await
    }
}
