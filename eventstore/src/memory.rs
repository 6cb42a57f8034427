//! Streams in the in-memory database, which behave as those on PostgreSQL do.

mod rows;

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Statement, Strength, Wait};

use crate::{
    Error,
    store::{
        NewEvent, Page, RebuildState, RebuildStore, ScannedEvent, SnapshotStore, StoredEvent,
        StoredSnapshot, StreamName, StreamStore, Visit,
    },
};
use rows::{RebuildRow, SnapshotRow};

pub use rows::EventRow;

/// Streams in an in-memory database. Clones share everything.
#[derive(Clone, Debug)]
pub struct MemoryEventStore {
    database: Database,
}

impl MemoryEventStore {
    /// Configures streams in `database`; `build` them then.
    pub fn builder(database: impl Into<Database>) -> MemoryEventStoreBuilder {
        MemoryEventStoreBuilder {
            database: database.into(),
        }
    }
}

/// Configures a [`MemoryEventStore`].
#[derive(Clone, Debug)]
#[must_use = "call build() to make the streams"]
pub struct MemoryEventStoreBuilder {
    database: Database,
}

impl MemoryEventStoreBuilder {
    /// The streams.
    #[must_use]
    pub fn build(self) -> MemoryEventStore {
        MemoryEventStore {
            database: self.database,
        }
    }
}

fn read(statement: &Statement<'_>, stream: &str, after: u64, limit: u64) -> Vec<StoredEvent> {
    let key = |version| (stream.to_owned(), version);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let rows =
        statement.select::<EventRow>(key(after.saturating_add(1))..=key(u64::MAX), limit, |_| {
            true
        });
    rows.into_iter().map(|row| row.event).collect()
}

#[async_trait]
impl StreamStore for MemoryEventStore {
    type Connection = Connection;

    async fn append_events(
        &self,
        connection: &mut Connection,
        stream: &StreamName,
        expected: u64,
        events: &[NewEvent],
    ) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let key = |version| (stream.as_str().to_owned(), version);
        let mut statement = connection.statement().await?;
        let now = statement.now();
        let mut is_head = expected == 0 || statement.get::<EventRow>(&key(expected)).is_some();
        for (version, event) in (expected + 1..).zip(events) {
            if !is_head {
                break;
            }
            let event = StoredEvent::new(
                version,
                event.kind.to_owned(),
                event.schema_version,
                event.payload.clone(),
                now,
            );
            let row = EventRow::new(stream.as_str(), event);
            // Whoever has inserted the first one has the others as well.
            is_head = statement.insert(row).await? == Inserted::New;
        }
        drop(statement);
        if is_head {
            return Ok(());
        }
        let statement = connection.statement().await?;
        let last = read(&statement, stream.as_str(), 0, u64::MAX).pop();
        Err(Error::Conflict {
            stream: stream.to_string(),
            expected,
            actual: last.map_or(0, |event| event.version),
        })
    }

    async fn read_events(
        &self,
        connection: &mut Connection,
        stream: &StreamName,
        after: u64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let statement = connection.statement().await?;
        Ok(read(&statement, stream.as_str(), after, limit))
    }

    async fn scan_events(
        &self,
        connection: &mut Connection,
        page: Page<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let statement = connection.statement().await?;
        let (stream, version) = page.after;
        let from = (stream.to_owned(), version.saturating_add(1));
        let to = (page.below.to_owned(), 0);
        let limit = usize::try_from(page.events).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let is_wanted = |row: &EventRow| {
            let wanted = bytes == 0 || bytes < page.bytes;
            bytes += row.event.payload.len() as u64;
            wanted
        };
        let rows = statement.select::<EventRow>(from..to, limit, is_wanted);
        for EventRow { stream, event } in &rows {
            visit(ScannedEvent {
                stream,
                version: event.version,
                kind: &event.kind,
                schema_version: event.schema_version,
                payload: &event.payload,
                recorded_at: event.recorded_at,
            })?;
        }
        Ok(())
    }

    async fn count_events(
        &self,
        connection: &mut Connection,
        above: &str,
        below: &str,
    ) -> Result<u64, Error> {
        let statement = connection.statement().await?;
        let key = |name: &str| (name.to_owned(), 0);
        let rows = statement.scan::<EventRow>(key(above)..key(below));
        Ok(rows.len() as u64)
    }
}

#[async_trait]
impl SnapshotStore for MemoryEventStore {
    async fn read_from_snapshot(
        &self,
        connection: &mut Connection,
        stream: &StreamName,
        shape: u32,
    ) -> Result<(Option<StoredSnapshot>, Vec<StoredEvent>), Error> {
        let statement = connection.statement().await?;
        let row = statement.get::<SnapshotRow>(&stream.as_str().to_owned());
        let snapshot = row
            .map(|row| row.snapshot)
            .filter(|snapshot| snapshot.shape == shape);
        let after = snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
        Ok((snapshot, read(&statement, stream.as_str(), after, u64::MAX)))
    }

    async fn write_snapshot(
        &self,
        connection: &mut Connection,
        stream: &StreamName,
        snapshot: &StoredSnapshot,
    ) -> Result<(), Error> {
        let row = SnapshotRow {
            stream: stream.as_str().to_owned(),
            snapshot: snapshot.clone(),
        };
        let mut statement = connection.statement().await?;
        let replaced = statement.upsert(row.clone(), |old| *old = row).await?;
        let (Inserted::New | Inserted::Exists) = replaced;
        Ok(())
    }
}

#[async_trait]
impl RebuildStore for MemoryEventStore {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }

    async fn lock_rebuild(
        &self,
        connection: &mut Connection,
        projection: &str,
    ) -> Result<RebuildState, Error> {
        let row = RebuildRow {
            projection: projection.to_owned(),
            state: RebuildState::default(),
        };
        if connection.statement().await?.insert(row).await? == Inserted::New {
            return Ok(RebuildState::default());
        }
        let mut statement = connection.statement().await?;
        let key = projection.to_owned();
        let row = statement.lock::<RebuildRow>(&key, Strength::Update, Wait::Block);
        let row = row.await?.row();
        Ok(row.map(|row| row.state).unwrap_or_default())
    }

    async fn save_rebuild(
        &self,
        connection: &mut Connection,
        projection: &str,
        state: &RebuildState,
    ) -> Result<(), Error> {
        let row = RebuildRow {
            projection: projection.to_owned(),
            state: state.clone(),
        };
        let mut statement = connection.statement().await?;
        let saved = statement.upsert(row.clone(), |old| *old = row).await?;
        let (Inserted::New | Inserted::Exists) = saved;
        Ok(())
    }
}
