//! How a file is opened.

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{BUSY, Database, primary_code};
use crate::Error;

/// Pause between attempts to open a new file while another process writes to it. SQLite refuses the
/// switch to WAL at once, whatever the busy timeout, and processes that open a new file at the same
/// time meet there.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// What SQLite counts at most, 24 days.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// How long a writer of this process waits for the others of this process, beside `busy_timeout`.
const QUEUE: Duration = Duration::from_secs(30);

/// Pages of the log after which a commit copies it into the file. What changes often is copied once for
/// many commits; the index of a log of up to 4,062 pages has one piece.
const CHECKPOINT_PAGES: &str = "4000";

/// Many more than a process may have open files.
const MOST_READERS: u32 = 10_000;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Settings of a [`Database`]; from [`Database::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is opened"]
pub struct Builder {
    path: PathBuf,
    busy_timeout: Duration,
    synchronous: Synchronous,
    readers: u32,
}

/// What a commit waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Synchronous {
    /// The disk: a commit survives power loss.
    Full,
    /// The operating system: a commit survives a crash of the process. Power loss may undo the last
    /// commits, and leaves the file intact.
    Normal,
}

impl Builder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            busy_timeout: Duration::from_secs(10),
            synchronous: Synchronous::Full,
            readers: 4,
        }
    }

    /// How long a statement waits for another process's transaction; default 10 s. Zero: not at all;
    /// SQLite counts milliseconds, and 24 days are the most.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// What a commit waits for; default [`Synchronous::Full`].
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Connections for reading; default 4. At least 1, and at most 10,000.
    pub const fn readers(mut self, count: u32) -> Self {
        self.readers = count;
        self
    }

    /// Opens the file, creating it if it is missing. While another process writes to a new file, it
    /// waits as long as [`busy_timeout`](Self::busy_timeout) says.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the path.
    pub async fn open(self) -> Result<Database, Error> {
        let given = self.path.display().to_string();
        let given = given.replace(char::is_control, "\u{fffd}");
        let cannot_open = |source| Error::CannotOpen {
            what: given.clone(),
            source,
        };
        let path: Arc<Path> = file(&self.path).map_err(cannot_open)?.into();
        if !(1..=MOST_READERS).contains(&self.readers) {
            let why = format!("readers is {}: choose 1 to {MOST_READERS}", self.readers);
            return Err(cannot_open(why.into()));
        }
        // Rounded up, so that a short wait is one.
        let patience = self.busy_timeout.min(LONGEST) + Duration::from_nanos(999_999);
        let patience = Duration::from_millis(patience.as_millis().try_into().unwrap_or(u64::MAX));
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
            .synchronous(match self.synchronous {
                Synchronous::Full => SqliteSynchronous::Full,
                Synchronous::Normal => SqliteSynchronous::Normal,
            })
            .busy_timeout(patience)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .optimize_on_close(false, None);
        // A pool closes connections it deems idle or old; reopening costs statements and page
        // cache.
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(patience + QUEUE)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .before_acquire(|connection, _| {
                    // SQLite ends a transaction by itself when the disk is full or fails. sqlx goes
                    // on counting it as open and would refuse every further BEGIN: such a
                    // connection is replaced.
                    let clean = !connection.is_in_transaction();
                    Box::pin(async move { Ok(clean) })
                })
        };
        let writer = open_pool(&pool(1), &connect, patience).await;
        let writer = writer.map_err(|error| cannot_open(error.into()))?;
        let connect = connect.read_only(true).create_if_missing(false);
        let reader = open_pool(&pool(self.readers), &connect, patience).await;
        let reader = reader.map_err(|error| cannot_open(error.into()))?;
        Ok(Database {
            path,
            writer,
            reader,
            listeners: Arc::default(),
        })
    }
}

/// Tries again for as long as another process keeps the file busy, at most for `patience`.
async fn open_pool(
    pool: &SqlitePoolOptions,
    connect: &SqliteConnectOptions,
    patience: Duration,
) -> Result<SqlitePool, sqlx::Error> {
    let mut patience = pin!(tokio::time::sleep(patience));
    loop {
        match pool.clone().connect_with(connect.clone()).await {
            Err(error) if primary_code(&error) == Some(BUSY) => tokio::select! {
                biased;
                () = &mut patience => return Err(error),
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            },
            opened => return opened,
        }
    }
}

/// The file of a path, from the root: SQLite takes some names for something else, and a relative path
/// would name another file once the process changes its directory.
fn file(path: &Path) -> Result<PathBuf, Source> {
    let Some(name) = path.to_str() else {
        return Err("SQLite opens only names in UTF-8: rename the file or its directory".into());
    };
    if ["", ":memory:"].contains(&name) {
        // Every connection would get a database of its own.
        return Err("a database of several connections needs a file: name one".into());
    }
    for scheme in ["file:", "sqlite:"] {
        if let Some(rest) = name.strip_prefix(scheme) {
            let rest = rest.split('?').next().unwrap_or_default();
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            return Err(format!(
                "it is a URL, and a path is needed: write {rest}, or ./{name} for a file of this very name"
            )
            .into());
        }
    }
    Ok(std::path::absolute(path)?)
}
