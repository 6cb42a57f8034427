//! Each role behind an `Arc`.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Appended, NewEvent, Page, RebuildState, RebuildStore, SnapshotStore, StoredEvent,
    StoredSnapshot, StreamAppend, StreamName, StreamStore, Visit,
};
use crate::Error;

#[async_trait]
impl<S: StreamStore + ?Sized> StreamStore for Arc<S> {
    type Connection = S::Connection;

    async fn append_events(
        &self,
        connection: &mut S::Connection,
        stream: &StreamName,
        expected: u64,
        events: &[NewEvent],
    ) -> Result<(), Error> {
        let appending = (**self).append_events(connection, stream, expected, events);
        appending.await
    }

    async fn append_to_streams(
        &self,
        connection: &mut S::Connection,
        appends: &[StreamAppend<'_>],
    ) -> Result<Vec<Appended>, Error> {
        (**self).append_to_streams(connection, appends).await
    }

    async fn read_events(
        &self,
        connection: &mut S::Connection,
        stream: &StreamName,
        after: u64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, Error> {
        (**self).read_events(connection, stream, after, limit).await
    }

    async fn scan_events(
        &self,
        connection: &mut S::Connection,
        page: Page<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        (**self).scan_events(connection, page, visit).await
    }

    async fn count_events(
        &self,
        connection: &mut S::Connection,
        above: &str,
        below: &str,
    ) -> Result<u64, Error> {
        (**self).count_events(connection, above, below).await
    }
}

#[async_trait]
impl<S: SnapshotStore + ?Sized> SnapshotStore for Arc<S> {
    async fn read_from_snapshot(
        &self,
        connection: &mut S::Connection,
        stream: &StreamName,
        shape: u32,
    ) -> Result<(Option<StoredSnapshot>, Vec<StoredEvent>), Error> {
        (**self).read_from_snapshot(connection, stream, shape).await
    }

    async fn read_from_snapshots(
        &self,
        connection: &mut S::Connection,
        streams: &[&StreamName],
        shape: u32,
    ) -> Result<Vec<(Option<StoredSnapshot>, Vec<StoredEvent>)>, Error> {
        let reading = (**self).read_from_snapshots(connection, streams, shape);
        reading.await
    }

    async fn write_snapshot(
        &self,
        connection: &mut S::Connection,
        stream: &StreamName,
        snapshot: &StoredSnapshot,
    ) -> Result<(), Error> {
        (**self).write_snapshot(connection, stream, snapshot).await
    }

    async fn write_snapshots(
        &self,
        connection: &mut S::Connection,
        snapshots: &[(&StreamName, StoredSnapshot)],
    ) -> Result<(), Error> {
        (**self).write_snapshots(connection, snapshots).await
    }
}

#[async_trait]
impl<S: RebuildStore + ?Sized> RebuildStore for Arc<S> {
    type Database = S::Database;

    fn database(&self) -> &S::Database {
        (**self).database()
    }

    async fn lock_rebuild(
        &self,
        connection: &mut S::Connection,
        projection: &str,
    ) -> Result<RebuildState, Error> {
        (**self).lock_rebuild(connection, projection).await
    }

    async fn save_rebuild(
        &self,
        connection: &mut S::Connection,
        projection: &str,
        state: &RebuildState,
    ) -> Result<(), Error> {
        (**self).save_rebuild(connection, projection, state).await
    }
}
