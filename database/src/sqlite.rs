//! SQLite: one writer connection per file and process, WAL, `synchronous=FULL`.
//!
//! Every transaction that may write begins IMMEDIATE: a deferred one fails at once with code 517 on its
//! first write after another writer's commit, whatever the busy timeout.

mod migrate;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Connection, SqlSafeStr, SqlStr, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Error, Namespace, Transactions};

pub use sqlx;

/// How often a new file is asked for that somebody else writes to. Its switch to WAL is the one thing that SQLite refuses at
/// once, whatever the busy timeout; processes that open a new file at the same time meet there.
const PACE: Duration = Duration::from_millis(10);

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
        let cannot_open = |source| Error::CannotOpen {
            what: path.display().to_string(),
            source,
        };
        if [Path::new(""), Path::new(":memory:")].contains(&&*path) {
            // Every connection would get a database of its own.
            return Err(cannot_open(
                "a database of several connections needs a file".into(),
            ));
        }
        // SQLite opens what it may not write for reading, and says so only at the first write.
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|error| cannot_open(error.into()))?;
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
                .before_acquire(|connection, _| {
                    // SQLite ends a transaction by itself when the disk is full or fails. sqlx goes on counting it
                    // as open and would refuse every further BEGIN: such a connection is replaced.
                    let clean = !connection.is_in_transaction();
                    Box::pin(async move { Ok(clean) })
                })
        };
        let open_writer = || pool(1).connect_with(connect.clone());
        let writer = match open_writer().await {
            Err(error) if primary_code(&error) == Some(BUSY) => {
                let waiting = async {
                    loop {
                        tokio::time::sleep(PACE).await;
                        match open_writer().await {
                            Err(error) if primary_code(&error) == Some(BUSY) => {}
                            opened => break opened,
                        }
                    }
                };
                let opened = tokio::time::timeout(options.busy_timeout, waiting).await;
                opened.unwrap_or(Err(error))
            }
            opened => opened,
        };
        let writer = writer.map_err(|error| cannot_open(error.into()))?;
        let reader = pool(options.readers)
            .connect_with(connect.read_only(true).create_if_missing(false))
            .await
            .map_err(|error| cannot_open(error.into()))?;
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
        transaction
            .commit()
            .await
            .map_err(|error| match primary_code(&error) {
                // The transaction's frames may lie in the log, whole and unsynced: no connection sees them, but the
                // recovery after a crash may.
                Some(IO | FULL) => Error::OutcomeUnknown(error.into()),
                // SQLite answers in this process: any other error says that the transaction was not applied, unless
                // nobody answers.
                _ if matches!(error, sqlx::Error::WorkerCrashed) => {
                    Error::OutcomeUnknown(error.into())
                }
                _ => classify(error),
            })
    }

    fn idle_limit(&self) -> Option<Duration> {
        None
    }
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
    match (&error, primary_code(&error)) {
        (_, Some(BUSY | LOCKED)) => Error::Conflict(error.into()),
        // The file was opened once: what cannot be opened now is another connection, its log or a temporary file, most
        // often because the process has no file descriptors left.
        (_, Some(IO | FULL | CANNOT_OPEN))
        | (sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed, _) => {
            Error::Unavailable(error.into())
        }
        _ => Error::Failed(error.into()),
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
