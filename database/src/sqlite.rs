//! SQLite: one writer connection per file and process, WAL, `synchronous=FULL`.
//!
//! Every transaction that may write begins IMMEDIATE: a deferred one fails at once with code 517 on its
//! first write after another writer's commit, whatever the busy timeout.

mod row_set;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, SqlSafeStr, SqlStr, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Error, Migrations, Namespace, Transactions};

pub use row_set::{NewRow, RowSet};
pub use sqlx;

/// An open SQLite transaction; derefs to [`SqliteConnection`], rolls back on drop.
pub type Transaction = sqlx::Transaction<'static, Sqlite>;

/// One SQLite file: a single writer connection and a few readers. Clones share them.
///
/// Open a file once per process and hand out clones: in-process writers then queue fairly for the one
/// writer connection instead of polling SQLite's lock against each other.
#[derive(Clone, Debug)]
pub struct Database {
    path: Arc<Path>,
    writer: SqlitePool,
    reader: SqlitePool,
}

/// How a file is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How long a statement waits for another process's transaction; default 10 s.
    pub busy_timeout: Duration,
    /// `FULL` (default) keeps commits across power loss; `NORMAL` may lose the last ones, never the file.
    pub synchronous: Synchronous,
    /// Connections for reading; default 4.
    pub readers: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(10),
            synchronous: Synchronous::Full,
            readers: 4,
        }
    }
}

/// What a commit waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Synchronous {
    /// The disk: a commit survives power loss.
    Full,
    /// The operating system: a commit survives a crash of the process.
    Normal,
}

impl Database {
    /// Opens the file at `path`, creating it if it is missing.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the path.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_with(path, Options::default()).await
    }

    /// Opens the file at `path` with options of one's own.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the path.
    pub async fn open_with(path: impl Into<PathBuf>, options: Options) -> Result<Self, Error> {
        let path: Arc<Path> = path.into().into();
        let cannot_open = |source: sqlx::Error| Error::CannotOpen {
            what: path.display().to_string(),
            source: source.into(),
        };
        let connect = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match options.synchronous {
                Synchronous::Full => SqliteSynchronous::Full,
                Synchronous::Normal => SqliteSynchronous::Normal,
            })
            .busy_timeout(options.busy_timeout)
            .foreign_keys(true)
            .optimize_on_close(false, None);
        // A pool closes connections it deems idle or old; reopening costs statements and page cache.
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writer = pool(1)
            .connect_with(connect.clone())
            .await
            .map_err(cannot_open)?;
        let reader = pool(options.readers)
            .connect_with(connect.read_only(true).create_if_missing(false))
            .await
            .map_err(cannot_open)?;
        Ok(Self {
            path,
            writer,
            reader,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Connections for reading; each statement sees the newest commit.
    #[must_use]
    pub const fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Closes all connections, after what runs on them has ended.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Brings a component's schema to this build's newest version; see [`Migrations`].
    ///
    /// # Errors
    /// [`Error::NewerSchema`], [`Error::ChangedMigration`], or what SQLite refused. Nothing is applied then.
    pub async fn migrate(
        &self,
        migrations: &Migrations,
        namespace: &Namespace,
    ) -> Result<(), Error> {
        self.migrate_with(migrations, namespace, |_| ()).await
    }

    /// [`migrate`](Self::migrate), telling `progress` the name of each step after it ran and before it is committed.
    ///
    /// # Errors
    /// As [`migrate`](Self::migrate).
    pub async fn migrate_with(
        &self,
        migrations: &Migrations,
        namespace: &Namespace,
        mut progress: impl FnMut(&'static str) + Send,
    ) -> Result<(), Error> {
        let version_table = format!("{{ns}}{}_schema", migrations.component);
        let create = statement(
            namespace,
            &format!(
                "CREATE TABLE IF NOT EXISTS {version_table} \
                 (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT"
            ),
        );
        let applied = statement(
            namespace,
            &format!("SELECT version, checksum FROM {version_table} ORDER BY version"),
        );
        let record = statement(
            namespace,
            &format!("INSERT INTO {version_table} (version, name, checksum) VALUES ($1, $2, $3)"),
        );

        // IMMEDIATE: of ten processes that start at once one migrates, nine wait and find it done.
        let mut tx = self.begin().await?;
        sqlx::query(create)
            .execute(&mut *tx)
            .await
            .map_err(classify)?;
        let applied: Vec<(u32, i64)> = sqlx::query_as(applied)
            .fetch_all(&mut *tx)
            .await
            .map_err(classify)?;
        if let Some(&(found, _)) = applied.last()
            && found > migrations.newest()
        {
            return Err(Error::NewerSchema {
                component: migrations.component.to_owned(),
                found,
                known: migrations.newest(),
            });
        }
        for (version, step) in (1u32..).zip(migrations.steps) {
            match applied.iter().find(|(applied, _)| *applied == version) {
                Some(&(_, checksum)) if checksum == step.checksum() => {}
                Some(_) => {
                    return Err(Error::ChangedMigration {
                        component: migrations.component.to_owned(),
                        version,
                    });
                }
                None => {
                    sqlx::raw_sql(statement(namespace, step.sql))
                        .execute(&mut *tx)
                        .await
                        .map_err(classify)?;
                    sqlx::query(record.clone())
                        .bind(version)
                        .bind(step.name)
                        .bind(step.checksum())
                        .execute(&mut *tx)
                        .await
                        .map_err(classify)?;
                    progress(step.name);
                }
            }
        }
        self.commit(tx).await
    }
}

#[async_trait]
impl Transactions for Database {
    type Connection = SqliteConnection;
    type Transaction = Transaction;

    async fn begin(&self) -> Result<Transaction, Error> {
        self.writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(classify)
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        // SQLite answers in this process: an error says that the transaction was not applied.
        transaction.commit().await.map_err(classify)
    }
}

/// Renders a statement once; cloning it later is a reference count.
#[must_use]
pub fn statement(namespace: &Namespace, sql: &str) -> SqlStr {
    // Safe: the namespace is checked and everything else is program text.
    AssertSqlSafe(namespace.render(sql)).into_sql_str()
}

/// Sorts a driver error by what the caller can do about it.
#[must_use]
pub fn classify(error: sqlx::Error) -> Error {
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    const IO: u32 = 10;
    const FULL: u32 = 13;
    match &error {
        sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => Error::Unavailable(error.into()),
        sqlx::Error::Database(database) => {
            // The low byte of an extended result code is the primary one.
            let primary = database
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                .map(|code| code & 0xff);
            match primary {
                Some(BUSY | LOCKED) => Error::Conflict(error.into()),
                Some(IO | FULL) => Error::Unavailable(error.into()),
                _ => Error::Failed(error.into()),
            }
        }
        _ => Error::Failed(error.into()),
    }
}
