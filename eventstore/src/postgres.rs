//! Streams in a PostgreSQL database.
//!
//! Nothing is kept in the session, so they work behind a pooler in transaction mode.

mod batch;
mod roles;

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations,
    postgres::{Database, classify, statement},
};
use sqlx::{PgConnection, Row as _, SqlStr, postgres::PgRow};

use crate::{
    Error, EventStoreBuilder,
    sql::{self, EventColumns, MixedColumns, PROBES, RebuildColumns, ScannedColumns, signed},
    store::{
        Appended, NewEvent, Page, RebuildState, RebuildStore, SnapshotStore, StoredEvent,
        StoredSnapshot, StreamAppend, StreamName, StreamStore, Visit,
    },
};

pub use roles::roles;
pub use sqlx;

/// The schema of the streams, for services that run migrations themselves; see
/// [`open_without_migrating`](EventStoreBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "eventstore",
    steps: &[Migration {
        name: "0001_eventstore",
        sql: include_str!("../migrations/postgres/0001_eventstore.sql"),
    }],
};

/// When the statement began, by the server's clock.
const NOW: &str = "(extract(epoch FROM statement_timestamp()) * 1000000)::int8";

/// The version that stream $1 has.
const HEAD: &str =
    "(SELECT coalesce(max(version), 0) FROM {ns}eventstore_events WHERE stream = $1)";

/// Streams in a PostgreSQL database. Clones share everything.
#[derive(Clone, Debug)]
pub struct PostgresEventStore {
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

impl PostgresEventStore {
    /// Configures streams in `database`, which may be a `PgPool` that exists already; `open` them
    /// then.
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
    pub async fn open(self) -> Result<PostgresEventStore, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(PostgresEventStore::new(self))
    }

    /// Opens the streams on tables that [`MIGRATIONS`] made before, run by the service's own tool
    /// or by another role.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a
    /// table or a column is missing.
    pub async fn open_without_migrating(self) -> Result<PostgresEventStore, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &PROBES)
            .await?;
        Ok(PostgresEventStore::new(self))
    }
}

impl PostgresEventStore {
    fn new(builder: EventStoreBuilder<Database>) -> Self {
        let sql = |text: &str| {
            let text = text.replace("{head}", HEAD).replace("{now}", NOW);
            statement(&builder.namespace, &text)
        };
        Self {
            // A transaction that appends behind the same version waits here, and if the other one
            // commits, nothing is inserted. That is no error, so the transaction goes on.
            append: sql(
                "INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
                 SELECT $1, $2::int8 + 1, $3, $4, $5, {now} WHERE {head} = $2
                 ON CONFLICT DO NOTHING",
            ),
            // The first event decides. Whoever has it has the others as well.
            append_many: sql(
                "WITH first AS (
                   INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
                   SELECT $1, $2::int8 + 1, $3, $4, $5, {now} WHERE {head} = $2
                   ON CONFLICT DO NOTHING RETURNING version, recorded_at)
                 INSERT INTO {ns}eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
                 SELECT $1, first.version + e.n, e.kind, e.schema_version, e.payload, first.recorded_at
                 FROM first, UNNEST($6::text[], $7::int4[], $8::text[])
                   WITH ORDINALITY AS e (kind, schema_version, payload, n)",
            ),
            append_to_streams: sql(batch::APPEND),
            head: sql("SELECT {head}"),
            read: sql(
                "SELECT version, kind, schema_version, payload, recorded_at FROM {ns}eventstore_events
                 WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3",
            ),
            scan: sql(
                "SELECT stream, version, kind, schema_version, payload, recorded_at FROM {ns}eventstore_events
                 WHERE (stream, version) > ($1, $2) AND stream < $3 ORDER BY stream, version LIMIT $4",
            ),
            count: sql(
                "SELECT count(*) FROM {ns}eventstore_events WHERE stream > $1 AND stream < $2",
            ),
            read_from_snapshot: sql(
                "WITH snapshot AS MATERIALIZED (
                   SELECT version, state FROM {ns}eventstore_snapshots WHERE stream = $1 AND shape = $2)
                 SELECT version, NULL AS kind, 0 AS schema_version, state, 0::int8 AS recorded_at FROM snapshot
                 UNION ALL
                 SELECT version, kind, schema_version, payload, recorded_at FROM {ns}eventstore_events
                 WHERE stream = $1 AND version > coalesce((SELECT version FROM snapshot), 0)
                 ORDER BY 1",
            ),
            read_from_snapshots: sql(batch::READ),
            write_snapshot: sql(
                "INSERT INTO {ns}eventstore_snapshots (stream, version, shape, state) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (stream) DO UPDATE
                 SET version = excluded.version, shape = excluded.shape, state = excluded.state",
            ),
            write_snapshots: sql(batch::WRITE),
            // The newest version of the row, whatever the snapshot has.
            lock_rebuild: sql(
                "INSERT INTO {ns}eventstore_rebuilds AS r (projection, shape, stream, version, events, total, is_done)
                 VALUES ($1, 0, '', 0, 0, 0, false) ON CONFLICT (projection) DO UPDATE SET events = r.events
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
impl StreamStore for PostgresEventStore {
    type Connection = PgConnection;

    async fn append_events(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        expected: u64,
        events: &[NewEvent],
    ) -> Result<(), Error> {
        let [first, others @ ..] = events else {
            return Ok(());
        };
        let text = if others.is_empty() {
            &self.append
        } else {
            &self.append_many
        };
        let mut appending = sqlx::query(text.clone())
            .persistent(self.database.keeps_statements())
            .bind(stream.as_str())
            .bind(signed(expected))
            .bind(first.kind)
            .bind(sql::schema(first))
            .bind(&first.payload);
        if !others.is_empty() {
            let kinds: Vec<&str> = others.iter().map(|event| event.kind).collect();
            let schemas: Vec<i32> = others.iter().map(sql::schema).collect();
            let payloads: Vec<&str> = others.iter().map(|event| &*event.payload).collect();
            appending = appending.bind(kinds).bind(schemas).bind(payloads);
        }
        let appended = appending
            .execute(&mut *connection)
            .await
            .map_err(classify)?;
        if appended.rows_affected() > 0 {
            return Ok(());
        }
        let actual = self.head_of(connection, stream).await?;
        Err(sql::conflict(stream, expected, actual))
    }

    async fn append_to_streams(
        &self,
        connection: &mut PgConnection,
        appends: &[StreamAppend<'_>],
    ) -> Result<Vec<Appended>, Error> {
        self.append_batch(connection, appends).await
    }

    async fn read_events(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        after: u64,
        limit: u64,
    ) -> Result<Vec<StoredEvent>, Error> {
        let rows: Vec<EventColumns> = sqlx::query_as(self.read.clone())
            .persistent(self.database.keeps_statements())
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
        connection: &mut PgConnection,
        page: Page<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let rows = sqlx::query(self.scan.clone())
            .persistent(self.database.keeps_statements())
            .bind(page.after.0)
            .bind(signed(page.after.1))
            .bind(page.below)
            .bind(i64::from(page.events))
            .fetch(connection);
        sql::visit(rows, columns, classify, page, visit).await
    }

    async fn count_events(
        &self,
        connection: &mut PgConnection,
        above: &str,
        below: &str,
    ) -> Result<u64, Error> {
        let count: i64 = sqlx::query_scalar(self.count.clone())
            .persistent(self.database.keeps_statements())
            .bind(above)
            .bind(below)
            .fetch_one(connection)
            .await
            .map_err(classify)?;
        Ok(count.unsigned_abs())
    }
}

fn columns(row: &PgRow) -> Result<ScannedColumns<'_>, sqlx::Error> {
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
impl SnapshotStore for PostgresEventStore {
    async fn read_from_snapshot(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        shape: u32,
    ) -> Result<(Option<StoredSnapshot>, Vec<StoredEvent>), Error> {
        let rows: Vec<MixedColumns> = sqlx::query_as(self.read_from_snapshot.clone())
            .persistent(self.database.keeps_statements())
            .bind(stream.as_str())
            .bind(i64::from(shape))
            .fetch_all(connection)
            .await
            .map_err(classify)?;
        Ok(sql::from_snapshot(rows, shape))
    }

    async fn read_from_snapshots(
        &self,
        connection: &mut PgConnection,
        streams: &[&StreamName],
        shape: u32,
    ) -> Result<Vec<(Option<StoredSnapshot>, Vec<StoredEvent>)>, Error> {
        self.read_batch(connection, streams, shape).await
    }

    async fn write_snapshot(
        &self,
        connection: &mut PgConnection,
        stream: &StreamName,
        snapshot: &StoredSnapshot,
    ) -> Result<(), Error> {
        sqlx::query(self.write_snapshot.clone())
            .persistent(self.database.keeps_statements())
            .bind(stream.as_str())
            .bind(signed(snapshot.version))
            .bind(i64::from(snapshot.shape))
            .bind(&snapshot.state)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }

    async fn write_snapshots(
        &self,
        connection: &mut PgConnection,
        snapshots: &[(&StreamName, StoredSnapshot)],
    ) -> Result<(), Error> {
        self.write_batch(connection, snapshots).await
    }
}

#[async_trait]
impl RebuildStore for PostgresEventStore {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }

    async fn lock_rebuild(
        &self,
        connection: &mut PgConnection,
        projection: &str,
    ) -> Result<RebuildState, Error> {
        let row: RebuildColumns = sqlx::query_as(self.lock_rebuild.clone())
            .persistent(self.database.keeps_statements())
            .bind(projection)
            .fetch_one(connection)
            .await
            .map_err(classify)?;
        Ok(sql::rebuild(row))
    }

    async fn save_rebuild(
        &self,
        connection: &mut PgConnection,
        projection: &str,
        state: &RebuildState,
    ) -> Result<(), Error> {
        sqlx::query(self.save_rebuild.clone())
            .persistent(self.database.keeps_statements())
            .bind(projection)
            .bind(i64::from(state.shape))
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
