//! SQLite: one writer connection per file and process, WAL, `synchronous=FULL`.
//!
//! Every transaction that may write begins IMMEDIATE: a deferred one fails at once with code 517 on
//! its first write after another writer's commit, whatever the busy timeout.
//!
//! Write `LIMIT $1 + 0` for a limit that is a parameter. SQLite plans by the number of a bare `LIMIT $1`, and prepares
//! the statement anew whenever one is bound.

mod builder;
mod migrate;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr, Sqlite, SqliteConnection, SqlitePool};

use crate::{
    Error, ErrorKind, Namespace, Transactions,
    commits::{CommitListener, CommitListeners},
};

pub use builder::{Builder, Synchronous};
pub use sqlx;

/// An open SQLite transaction; derefs to [`SqliteConnection`], rolls back on drop.
pub type Transaction = sqlx::Transaction<'static, Sqlite>;

/// One SQLite file: a single writer connection and a few readers. Clones share them, and the commit
/// listeners.
///
/// Open a file once per process and hand out clones. Writers of the process then queue fairly for
/// the one writer connection; several handles would poll SQLite's lock against each other.
///
/// ```no_run
/// use mainstay_database::{Error, sqlite::{Database, Synchronous}};
///
/// async fn databases() -> Result<(), Error> {
///     let orders = Database::open("orders.db").await?;
///     let cache = Database::builder("cache.db").synchronous(Synchronous::Normal).readers(2).open().await?;
/// #   drop((orders, cache));
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    path: Arc<Path>,
    writer: SqlitePool,
    reader: SqlitePool,
    listeners: Arc<CommitListeners>,
}

impl From<&Self> for Database {
    fn from(database: &Self) -> Self {
        database.clone()
    }
}

impl Database {
    /// Opens the file at `path`, creating it if it is missing. A path is taken as it is: `?`, `#` and
    /// `%` are characters of a name.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the path. Among others, `:memory:` and URLs (`file:`, `sqlite:`)
    /// are refused.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::builder(path).open().await
    }

    /// A database in the file at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> Builder {
        Builder::new(path.into())
    }

    /// Opens a transaction; as [`Transactions::begin`], without the import.
    ///
    /// # Errors
    /// As [`Transactions::begin`].
    pub async fn begin(&self) -> Result<Transaction, Error> {
        Transactions::begin(self).await
    }

    /// Commits; as [`Transactions::commit`], without the import.
    ///
    /// # Errors
    /// As [`Transactions::commit`].
    pub async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        Transactions::commit(self, transaction).await
    }

    /// Calls `listener` after each commit through this handle or a clone of it; see
    /// [`commits`](crate::commits).
    pub fn on_commit(&self, listener: Weak<dyn CommitListener>) {
        self.listeners.add(listener);
    }

    /// The file, from the root.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Connections for reading; each statement sees the newest commit.
    #[must_use]
    pub const fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Closes all connections, once their statements have ended.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
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
        let committed = transaction.commit().await.map_err(of_commit);
        if let Ok(()) | Err(Error::OutcomeUnknown(_)) = &committed {
            self.listeners.committed();
        }
        committed
    }

    async fn savepoint(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        run("SAVEPOINT mainstay", connection).await
    }

    // Fails if the savepoint is gone: some errors make SQLite roll the whole transaction back, and
    // a new savepoint would then open another one.
    async fn release_savepoint(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        run("RELEASE SAVEPOINT mainstay", connection).await
    }

    async fn roll_back_to_savepoint(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        run("ROLLBACK TO SAVEPOINT mainstay", connection).await
    }

    fn idle_limit(&self) -> Option<Duration> {
        None
    }
}

/// Runs a statement without parameters, unprepared.
async fn run(sql: &'static str, connection: &mut SqliteConnection) -> Result<(), Error> {
    let ran = sqlx::raw_sql(sql).execute(connection).await;
    ran.map(|_| ()).map_err(classify)
}

/// Renders a statement once; cloning it later is a reference count.
#[must_use]
pub fn statement(namespace: &Namespace, sql: &str) -> SqlStr {
    // Safe: the namespace is checked and everything else is program text.
    AssertSqlSafe(namespace.render(sql)).into_sql_str()
}

/// Primary result codes of SQLite.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const IO: u32 = 10;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;

/// Sorts a driver error by what the caller can do about it.
#[must_use]
pub fn classify(error: sqlx::Error) -> Error {
    match kind_of(&error) {
        ErrorKind::Unavailable => Error::Unavailable(error.into()),
        ErrorKind::Conflict => Error::Conflict(error.into()),
        _ => Error::Failed(error.into()),
    }
}

/// As [`classify`], for a borrowed error.
pub(crate) fn kind_of(error: &sqlx::Error) -> ErrorKind {
    match (error, primary_code(error)) {
        (_, Some(BUSY | LOCKED)) => ErrorKind::Conflict,
        // The file was opened once: what cannot be opened now is another connection, its log or a
        // temporary file, most often because the process has no file descriptors left.
        (_, Some(IO | FULL | CANNOT_OPEN))
        | (sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed, _) => ErrorKind::Unavailable,
        _ => ErrorKind::Final,
    }
}

/// As [`classify`], for COMMIT: some errors leave open what happened.
fn of_commit(error: sqlx::Error) -> Error {
    match (&error, primary_code(&error)) {
        // The transaction's frames may lie in the log, whole and unsynced: no connection sees them,
        // but the recovery after a crash may.
        (_, Some(IO | FULL)) | (sqlx::Error::WorkerCrashed, _) => {
            Error::OutcomeUnknown(error.into())
        }
        // SQLite answers in this process: any other error says that the transaction was not
        // applied.
        _ => classify(error),
    }
}

/// The low byte of an extended result code is the primary one.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    Some(code.parse::<u32>().ok()? & 0xff)
}

/// Here because it shows SQLite: without the feature it would not compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
