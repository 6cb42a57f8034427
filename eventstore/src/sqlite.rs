//! Streams in a SQLite file.
//!
//! SQLite has one writer. A second transaction that appends waits until the first one has ended, and
//! is then refused.

mod batch;

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations,
    sqlite::{Database, classify, statement},
};
use sqlx::{Row as _, SqlStr, SqliteConnection, sqlite::SqliteRow};

use crate::{
    Error, EventStoreBuilder,
    sql::{self, EventColumns, MixedColumns, PROBES, RebuildColumns, ScannedColumns, signed},
    store::{
        Appended, NewEvent, Page, RebuildState, RebuildStore, SnapshotStore, StoredEvent,
        StoredSnapshot, StreamAppend, StreamName, StreamStore, Visit, batch::append_to_each,
    },
};

pub use sqlx;

/// The schema of the streams, for services that run migrations themselves; see
/// [`open_without_migrating`](EventStoreBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "eventstore",
    steps: &[Migration {
        name: "0001_eventstore",
        sql: include_str!("../migrations/sqlite/0001_eventstore.sql"),
    }],
};

/// The host's time, which all processes that open the file share.
const NOW: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// The version that stream $1 has.
const HEAD: &str =
    "(SELECT coalesce(max(version), 0) FROM {ns}eventstore_events WHERE stream = $1)";

/// Streams in a SQLite file. Clones share everything.
#[derive(Clone, Debug)]
pub struct SqliteEventStore {
    database: Database,
    append: SqlStr,
    append_many: SqlStr,
    append_to_streams: SqlStr,
    head: SqlStr,
    read: SqlStr,
    scan: SqlStr,
    count: SqlStr,
    read_from_snapshot: SqlStr,
    read_from_snapshots: SqlStr,
    write_snapshot: SqlStr,
    write_snapshots: SqlStr,
    lock_rebuild: SqlStr,
    save_rebuild: SqlStr,
}

impl SqliteEventStore {
    /// Configures streams in `database`, which may be a `&Database`; `open` them then.
    pub fn builder(database: impl Into<Database>) -> EventStoreBuilder<Database> {
        EventStoreBuilder::new(database.into())
    }
}

impl EventStoreBuilder<Database> {
    /// Opens the streams, and brings their tables to this build's version. Safe when several
    /// processes start at once.
    ///
    /// # Errors
    /// As `Database::migrate`.
    pub async fn open(self) -> Result<SqliteEventStore, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(SqliteEventStore::new(self))
    }

    /// Opens the streams on tables that [`MIGRATIONS`] made before, run by the service's own tool.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a
    /// table or a column is missing.
    pub async fn open_without_migrating(self) -> Result<SqliteEventStore, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &PROBES)
            .await?;
        Ok(SqliteEventStore::new(self))
    }
}

impl SqliteEventStore {
    fn new(builder: EventStoreBuilder<Database>) -> Self {
        let sql = |text: &str| {
            let text = text.replace("{head}", HEAD).replace("{now}", NOW);
            statement(&builder.namespace, &text)
        };
        Self {
            // The write lock is had before the subquery reads, so it decides alone.
            append: sql(
                "INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
                 SELECT $1, $2 + 1, $3, $4, $5, {now} WHERE {head} = $2",
            ),
            append_many: sql(
                "INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
                 SELECT $1, $2 + 1 + e.key, e.value ->> 0, e.value ->> 1, e.value ->> 2, {now}
                 FROM json_each($3) AS e WHERE {head} = $2",
            ),
            // All streams, or none.
            append_to_streams: sql(
                "INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
                 SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, {now}
                 FROM json_each($1) AS e WHERE NOT EXISTS (
                   SELECT 1 FROM json_each($2) AS s WHERE s.value ->> 1 <>
                     (SELECT coalesce(max(version), 0) FROM {ns}eventstore_events WHERE stream = s.value ->> 0))",
            ),
            head: sql("SELECT {head}"),
            read: sql(
                "SELECT version, kind, schema_version, payload, recorded_at FROM {ns}eventstore_events
                 WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3 + 0",
            ),
            scan: sql(
                "SELECT stream, version, kind, schema_version, payload, recorded_at FROM {ns}eventstore_events
                 WHERE (stream, version) > ($1, $2) AND stream < $3 ORDER BY stream, version LIMIT $4 + 0",
            ),
            count: sql(
                "SELECT count(*) FROM {ns}eventstore_events WHERE stream > $1 AND stream < $2",
            ),
            read_from_snapshot: sql(
                "WITH snapshot AS MATERIALIZED (
                   SELECT version, state FROM {ns}eventstore_snapshots WHERE stream = $1 AND shape = $2)
                 SELECT version, NULL AS kind, 0, state, 0 FROM snapshot
                 UNION ALL
                 SELECT version, kind, schema_version, payload, recorded_at FROM {ns}eventstore_events
                 WHERE stream = $1 AND version > coalesce((SELECT version FROM snapshot), 0)
                 ORDER BY 1",
            ),
            // As one row: SQLite's thread hands over each.
            read_from_snapshots: sql(
                "WITH wanted AS MATERIALIZED (
                   SELECT w.key AS place, w.value AS stream, s.version, s.state
                   FROM json_each($1) AS w LEFT JOIN {ns}eventstore_snapshots AS s ON s.stream = w.value AND s.shape = $2)
                 SELECT json_group_array(json_array(place, version, kind, schema_version, text, at) ORDER BY place, version)
                 FROM (
                   SELECT place, version, NULL AS kind, 0 AS schema_version, state AS text, 0 AS at
                   FROM wanted WHERE version IS NOT NULL
                   UNION ALL
                   SELECT w.place, e.version, e.kind, e.schema_version, e.payload, e.recorded_at
                   FROM wanted AS w CROSS JOIN {ns}eventstore_events AS e
                   WHERE e.stream = w.stream AND e.version > coalesce(w.version, 0))",
            ),
            write_snapshot: sql(
                "INSERT INTO {ns}eventstore_snapshots (stream, version, shape, state) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO UPDATE SET version = excluded.version, shape = excluded.shape, state = excluded.state",
            ),
            write_snapshots: sql(
                "INSERT INTO {ns}eventstore_snapshots (stream, version, shape, state)
                 SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE true
                 ON CONFLICT DO UPDATE SET version = excluded.version, shape = excluded.shape, state = excluded.state",
            ),
            lock_rebuild: sql(
                "INSERT INTO {ns}eventstore_rebuilds (projection, shape, stream, version, events, total, is_done)
                 VALUES ($1, 0, '', 0, 0, 0, false) ON CONFLICT DO UPDATE SET events = events
                 RETURNING shape, stream, version, events, total, is_done",
            ),
            save_rebuild: sql(
                "UPDATE {ns}eventstore_rebuilds
                 SET shape = $2, stream = $3, version = $4, events = $5, total = $6, is_done = $7
                 WHERE projection = $1",
            ),
            database: builder.database,
        }
    }
}

#[async_trait]
impl StreamStore for SqliteEventStore {
    type Connection = SqliteConnection;

    async fn append_events(
        &self,
        connection: &mut SqliteConnection,
        stream: &StreamName,
        expected: u64,
        events: &[NewEvent],
    ) -> Result<(), Error> {
        let appending = match events {
            [] => return Ok(()),
            [event] => sqlx::query(self.append.clone())
                .bind(stream.as_str())
                .bind(signed(expected))
                .bind(event.kind)
                .bind(sql::schema(event))
                .bind(&event.payload),
            events => sqlx::query(self.append_many.clone())
                .bind(stream.as_str())
                .bind(signed(expected))
                .bind(batch::events(events)?),
        };
        let appended = appending
            .execute(&mut *connection)
            .await
            .map_err(classify)?;
        if appended.rows_affected() > 0 {
            return Ok(());
        }
        let actual: i64 = sqlx::query_scalar(self.head.clone())
            .bind(stream.as_str())
            .fetch_one(connection)
            .await
            .map_err(classify)?;
        Err(sql::conflict(stream, expected, actual))
    }

    async fn append_to_streams(
        &self,
        connection: &mut SqliteConnection,
        appends: &[StreamAppend<'_>],
    ) -> Result<Vec<Appended>, Error> {
        let (rows, heads) = batch::rows(appends)?;
        let appended = sqlx::query(self.append_to_streams.clone())
            .bind(rows)
            .bind(heads)
            .execute(&mut *connection)
            .await
            .map_err(classify)?;
        if appended.rows_affected() > 0 {
            return Ok(vec![Appended::Written; appends.len()]);
        }
        append_to_each(self, connection, appends).await
    }

    async fn read_events(
        &self,
        connection: &mut SqliteConnection,
        stream: &StreamName,
        after: u64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let rows: Vec<EventColumns> = sqlx::query_as(self.read.clone())
            .bind(stream.as_str())
            .bind(signed(after))
            .bind(signed(limit))
            .fetch_all(connection)
            .await
            .map_err(classify)?;
        Ok(rows.into_iter().map(sql::event).collect())
    }

    async fn scan_events(
        &self,
        connection: &mut SqliteConnection,
        page: Page<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let rows = sqlx::query(self.scan.clone())
            .bind(page.after.0)
            .bind(signed(page.after.1))
            .bind(page.below)
            .bind(page.events)
            .fetch(connection);
        sql::visit(rows, columns, classify, page, visit).await
    }

    async fn count_events(
        &self,
        connection: &mut SqliteConnection,
        above: &str,
        below: &str,
    ) -> Result<u64, Error> {
        let count: i64 = sqlx::query_scalar(self.count.clone())
            .bind(above)
            .bind(below)
            .fetch_one(connection)
            .await
            .map_err(classify)?;
        Ok(count.unsigned_abs())
    }
}

fn columns(row: &SqliteRow) -> Result<ScannedColumns<'_>, sqlx::Error> {
    Ok((
        row.try_get(0)?,
        row.try_get(1)?,
        row.try_get(2)?,
        row.try_get(3)?,
        row.try_get(4)?,
        row.try_get(5)?,
    ))
}

#[async_trait]
impl SnapshotStore for SqliteEventStore {
    async fn read_from_snapshot(
        &self,
        connection: &mut SqliteConnection,
        stream: &StreamName,
        shape: u32,
    ) -> Result<(Option<StoredSnapshot>, Vec<StoredEvent>), Error> {
        let rows: Vec<MixedColumns> = sqlx::query_as(self.read_from_snapshot.clone())
            .bind(stream.as_str())
            .bind(shape)
            .fetch_all(connection)
            .await
            .map_err(classify)?;
        Ok(sql::from_snapshot(rows, shape))
    }

    async fn read_from_snapshots(
        &self,
        connection: &mut SqliteConnection,
        streams: &[&StreamName],
        shape: u32,
    ) -> Result<Vec<(Option<StoredSnapshot>, Vec<StoredEvent>)>, Error> {
        let found: String = sqlx::query_scalar(self.read_from_snapshots.clone())
            .bind(batch::names(streams)?)
            .bind(shape)
            .fetch_one(connection)
            .await
            .map_err(classify)?;
        let rows = batch::read(&found)?;
        Ok(sql::from_snapshots(rows, streams.len(), shape))
    }

    async fn write_snapshot(
        &self,
        connection: &mut SqliteConnection,
        stream: &StreamName,
        snapshot: &StoredSnapshot,
    ) -> Result<(), Error> {
        sqlx::query(self.write_snapshot.clone())
            .bind(stream.as_str())
            .bind(signed(snapshot.version))
            .bind(snapshot.shape)
            .bind(&snapshot.state)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }

    async fn write_snapshots(
        &self,
        connection: &mut SqliteConnection,
        snapshots: &[(&StreamName, StoredSnapshot)],
    ) -> Result<(), Error> {
        sqlx::query(self.write_snapshots.clone())
            .bind(batch::snapshots(snapshots)?)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }
}

#[async_trait]
impl RebuildStore for SqliteEventStore {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }

    async fn lock_rebuild(
        &self,
        connection: &mut SqliteConnection,
        projection: &str,
    ) -> Result<RebuildState, Error> {
        let row: RebuildColumns = sqlx::query_as(self.lock_rebuild.clone())
            .bind(projection)
            .fetch_one(connection)
            .await
            .map_err(classify)?;
        Ok(sql::rebuild(row))
    }

    async fn save_rebuild(
        &self,
        connection: &mut SqliteConnection,
        projection: &str,
        state: &RebuildState,
    ) -> Result<(), Error> {
        sqlx::query(self.save_rebuild.clone())
            .bind(projection)
            .bind(state.shape)
            .bind(&state.after.0)
            .bind(signed(state.after.1))
            .bind(signed(state.events))
            .bind(signed(state.total))
            .bind(state.is_done)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }
}
