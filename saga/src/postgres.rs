//! Sagas in a PostgreSQL database.
//!
//! Replies and timers lock the row of their run (`FOR UPDATE`), so each sees what the other one
//! committed. Nothing is kept in the session, so the sagas work behind a pooler in transaction mode.

#[cfg(test)]
mod plans;
mod roles;

use mainstay_database::{
    Migration, Migrations, Namespace,
    postgres::{Database, classify},
};
use sqlx::{PgConnection, PgPool, Postgres, SqlStr};

use crate::{
    Error, SagasBuilder,
    builder::micros,
    journal::Entry,
    sql::{Dialect, PROBES, Statements, implement_roles},
    store::SavedRun,
};

pub use roles::roles;
pub use sqlx;

/// The schema of sagas and participants, for services that run migrations themselves; see
/// [`open_without_migrating`](SagasBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "saga",
    steps: &[Migration {
        name: "0001_saga",
        sql: include_str!("../migrations/postgres/0001_saga.sql"),
    }],
};

const DIALECT: Dialect = Dialect {
    now: "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint",
    clock: "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    listed: "r.run = ANY($1)",
    given: "UNNEST($1::text[]) AS n (value)",
    // Not a condition of an index: a planner that does not know the table yet takes all runs of the
    // saga from one, and those of the list from another.
    of_saga: "(r.saga = $2) IS TRUE",
    // A join might read the table.
    among: ["= ANY (ARRAY(", "))"],
    lock: "FOR UPDATE",
    skip: "FOR UPDATE SKIP LOCKED",
    journal: "(SELECT json_agg(json_build_array(j.number, j.at, j.entry) ORDER BY j.number)::text
        FROM {ns}saga_journal AS j WHERE j.run = r.run)",
};

/// Runs and entries of journals, column by column.
const SAVE: &str = "WITH saved AS (
        UPDATE {ns}saga_runs AS r SET state = s.state, status = s.status, is_overdue = s.is_overdue, step = s.step,
            saved_at = {now}, wake_at = {now} + s.wake_in, ended_at = CASE WHEN s.is_ended THEN {now} END
        FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bool[], $5::text[], $6::int8[], $7::bool[])
          AS s (run, state, status, is_overdue, step, wake_in, is_ended)
        WHERE r.run = s.run)
    INSERT INTO {ns}saga_journal (run, at, entry)
    SELECT j.run, {now}, j.entry FROM UNNEST($8::text[], $9::text[]) WITH ORDINALITY AS j (run, entry, place)
    ORDER BY j.place";

/// A run with what its first transition saves, and its journal.
const CREATE_SAVED: &str = "WITH created AS (
        INSERT INTO {ns}saga_runs (run, saga, business_key, version, fingerprint, input, state,
            status, is_overdue, step, started_at, saved_at, wake_at, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {now}, {now}, {now} + $11::int8, CASE WHEN $12::bool THEN {now} END)
        ON CONFLICT (saga, business_key, {is_live}) DO NOTHING RETURNING run)
    INSERT INTO {ns}saga_journal (run, at, entry)
    SELECT created.run, {now}, j.entry FROM created, UNNEST($13::text[]) WITH ORDINALITY AS j (entry, place)
    ORDER BY j.place";

/// Sagas in a PostgreSQL database, and the steps of its participants. Clones share everything.
#[derive(Clone, Debug)]
pub struct PostgresSagas {
    database: Database,
    sql: Statements,
    create_saved: SqlStr,
    save: SqlStr,
}

impl PostgresSagas {
    /// Configures sagas in `database`, which may be a `PgPool` that exists already; `open` them
    /// then.
    pub fn builder(database: impl Into<Database>) -> SagasBuilder<Database> {
        SagasBuilder::new(database.into())
    }

    const fn reader(&self) -> &PgPool {
        self.database.pool()
    }

    const fn persists(&self) -> bool {
        self.database.keeps_statements()
    }

    #[expect(clippy::unnecessary_wraps, reason = "a list of another store is JSON")]
    fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Vec<&'t str>, Error> {
        Ok(texts.collect())
    }

    fn entries(journal: &[Entry]) -> Result<Vec<String>, Error> {
        let entries = journal.iter().map(serde_json::to_string);
        Ok(entries.collect::<Result<_, _>>()?)
    }

    async fn save_runs(
        &self,
        connection: &mut PgConnection,
        runs: &[SavedRun<'_>],
    ) -> Result<(), Error> {
        let columns = Columns::of(runs)?;
        sqlx::query(self.save.clone())
            .persistent(self.persists())
            .bind(columns.runs)
            .bind(columns.states)
            .bind(columns.statuses)
            .bind(columns.are_overdue)
            .bind(columns.steps)
            .bind(columns.wake_in)
            .bind(columns.are_ended)
            .bind(columns.entries_of)
            .bind(columns.entries)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }
}

/// Runs to save, column by column.
#[derive(Default)]
struct Columns<'a> {
    runs: Vec<&'a str>,
    states: Vec<&'a str>,
    statuses: Vec<&'a str>,
    are_overdue: Vec<bool>,
    steps: Vec<Option<&'a str>>,
    wake_in: Vec<Option<i64>>,
    are_ended: Vec<bool>,
    entries_of: Vec<&'a str>,
    entries: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(runs: &[SavedRun<'a>]) -> Result<Self, Error> {
        let mut columns = Self::default();
        for saved in runs {
            let face = saved.face;
            columns.runs.push(saved.run.as_str());
            columns.states.push(saved.state);
            columns.statuses.push(face.status.as_str());
            columns.are_overdue.push(face.is_overdue);
            columns.steps.push(face.step.as_deref());
            columns.wake_in.push(face.wake_in.map(micros));
            columns.are_ended.push(face.status.is_ended());
            for entry in saved.journal {
                columns.entries_of.push(saved.run.as_str());
                columns.entries.push(serde_json::to_string(entry)?);
            }
        }
        Ok(columns)
    }
}

impl SagasBuilder<Database> {
    /// Where the tables are; default: without prefix, in the schema that the search path names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Opens the sagas, and brings their tables to this build's version. Safe when several
    /// processes start at once.
    ///
    /// # Errors
    /// As `Database::migrate`.
    pub async fn open(self) -> Result<PostgresSagas, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(self.build())
    }

    /// Opens the sagas on tables that [`MIGRATIONS`] made before, run by the service's own tool or
    /// by another role.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a
    /// table or a column is missing.
    pub async fn open_without_migrating(self) -> Result<PostgresSagas, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &PROBES)
            .await?;
        Ok(self.build())
    }

    fn build(self) -> PostgresSagas {
        PostgresSagas {
            sql: Statements::new(&self.namespace, DIALECT),
            create_saved: DIALECT.render(&self.namespace, CREATE_SAVED),
            save: DIALECT.render(&self.namespace, SAVE),
            database: self.database,
        }
    }
}

implement_roles!(PostgresSagas, Postgres, PgConnection, classify);
