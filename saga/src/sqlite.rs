//! Sagas in a SQLite file.

#[cfg(test)]
mod plans;

use mainstay_database::{
    Migration, Migrations, Namespace,
    sqlite::{Database, classify},
};
use sqlx::{SqlStr, Sqlite, SqliteConnection, SqlitePool};

use crate::{
    Error, SagasBuilder,
    builder::micros,
    journal::Entry,
    sql::{Dialect, PROBES, Statements, implement_roles},
    store::SavedRun,
};

pub use sqlx;

/// The schema of sagas and participants, for services that run migrations themselves; see
/// [`open_without_migrating`](SagasBuilder::open_without_migrating).
pub const MIGRATIONS: Migrations = Migrations {
    component: "saga",
    steps: &[Migration {
        name: "0001_saga",
        sql: include_str!("../migrations/sqlite/0001_saga.sql"),
    }],
};

/// The host's time, which all processes that open the file share. There is one writer, so nothing is
/// locked row by row.
const DIALECT: Dialect = Dialect {
    now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    clock: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    listed: "r.run IN (SELECT value FROM json_each($1))",
    given: "json_each($1) AS n",
    // With +, no index of all runs of the saga is read.
    of_saga: "+r.saga = $2",
    among: ["IN (", ")"],
    lock: "",
    skip: "",
    journal: "(SELECT json_group_array(json_array(j.number, j.at, j.entry) ORDER BY j.number)
        FROM {ns}saga_journal AS j WHERE j.run = r.run)",
};

/// Runs as JSON.
const UPDATE: &str = "UPDATE {ns}saga_runs SET state = s.value ->> 1, status = s.value ->> 2, is_overdue = s.value ->> 3,
        step = s.value ->> 4, saved_at = {now}, wake_at = {now} + (s.value ->> 5),
        ended_at = CASE WHEN s.value ->> 6 THEN {now} END
    FROM json_each($1) AS s WHERE run = s.value ->> 0";

/// Entries of journals as JSON.
const APPEND: &str = "INSERT INTO {ns}saga_journal (run, at, entry)
    SELECT value ->> 0, {now}, value ->> 1 FROM json_each($2) ORDER BY key";

/// A run with what its first transition saves, and its journal.
const CREATE_SAVED: &str = "INSERT INTO {ns}saga_runs (run, saga, business_key, version, fingerprint, input, state,
        status, is_overdue, step, started_at, saved_at, wake_at, ended_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {now}, {now}, {now} + $11, CASE WHEN $12 THEN {now} END)
    ON CONFLICT (saga, business_key, {is_live}) DO NOTHING;
    INSERT INTO {ns}saga_journal (run, at, entry)
    SELECT $1, {now}, value FROM json_each($13) WHERE EXISTS (SELECT 1 FROM {ns}saga_runs WHERE run = $1) ORDER BY key";

/// Sagas in a SQLite file, and the steps of its participants. Clones share everything.
#[derive(Clone, Debug)]
pub struct SqliteSagas {
    database: Database,
    sql: Statements,
    create_saved: SqlStr,
    /// [`UPDATE`] and [`APPEND`]: SQLite's thread is woken once for both.
    save: SqlStr,
}

impl SqliteSagas {
    /// Configures sagas in `database`, which may be a `&Database`; `open` them then.
    pub fn builder(database: impl Into<Database>) -> SagasBuilder<Database> {
        SagasBuilder::new(database.into())
    }

    const fn reader(&self) -> &SqlitePool {
        self.database.reader()
    }

    #[expect(
        clippy::unused_self,
        reason = "a store on a server may not keep statements"
    )]
    const fn persists(&self) -> bool {
        true
    }

    fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> Result<String, Error> {
        Ok(serde_json::to_string(&texts.collect::<Vec<_>>())?)
    }

    fn entries(journal: &[Entry]) -> Result<String, Error> {
        let entries = journal.iter().map(serde_json::to_string);
        let entries: Vec<String> = entries.collect::<Result<_, _>>()?;
        Ok(serde_json::to_string(&entries)?)
    }

    async fn save_runs(
        &self,
        connection: &mut SqliteConnection,
        runs: &[SavedRun<'_>],
    ) -> Result<(), Error> {
        let rows = runs.iter().map(|saved| {
            let (status, is_overdue) = (saved.face.status, saved.face.is_overdue);
            let (step, wake_in) = (saved.face.step.as_deref(), saved.face.wake_in.map(micros));
            let (name, is_ended) = (status.as_str(), status.is_ended());
            (
                saved.run,
                saved.state,
                name,
                is_overdue,
                step,
                wake_in,
                is_ended,
            )
        });
        let rows: Vec<_> = rows.collect();
        let mut entries = Vec::new();
        for saved in runs {
            for entry in saved.journal {
                entries.push((saved.run, serde_json::to_string(entry)?));
            }
        }
        sqlx::query(self.save.clone())
            .bind(serde_json::to_string(&rows)?)
            .bind(serde_json::to_string(&entries)?)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }
}

impl SagasBuilder<Database> {
    /// Where the tables are; default: without prefix.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Opens the sagas, and brings their tables to this build's version. Safe when several
    /// processes start at once.
    ///
    /// # Errors
    /// As `Database::migrate`.
    pub async fn open(self) -> Result<SqliteSagas, Error> {
        self.database.migrate(&MIGRATIONS, &self.namespace).await?;
        Ok(self.build())
    }

    /// Opens the sagas on tables that [`MIGRATIONS`] made before, run by the service's own tool.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a
    /// table or a column is missing.
    pub async fn open_without_migrating(self) -> Result<SqliteSagas, Error> {
        self.database
            .check_schema(&MIGRATIONS, &self.namespace, &PROBES)
            .await?;
        Ok(self.build())
    }

    fn build(self) -> SqliteSagas {
        SqliteSagas {
            sql: Statements::new(&self.namespace, DIALECT),
            create_saved: DIALECT.render(&self.namespace, CREATE_SAVED),
            save: DIALECT.render(&self.namespace, &format!("{UPDATE};\n{APPEND}")),
            database: self.database,
        }
    }
}

implement_roles!(SqliteSagas, Sqlite, SqliteConnection, classify);
