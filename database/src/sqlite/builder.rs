//! How a file is opened.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Connection as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{BUSY, Database, primary_code};
use crate::Error;

/// Pause between attempts to open a new file while another process writes to it. SQLite refuses the
/// switch to WAL at once, whatever the busy timeout, and processes that open a new file at the same
/// time meet there.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

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

    /// How long a statement waits for another process's transaction; default 10 s.
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// What a commit waits for; default [`Synchronous::Full`].
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Connections for reading; default 4.
    pub const fn readers(mut self, count: u32) -> Self {
        self.readers = count;
        self
    }

    /// Opens the file, creating it if it is missing.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the path.
    pub async fn open(self) -> Result<Database, Error> {
        let path: Arc<Path> = self.path.into();
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
            .synchronous(match self.synchronous {
                Synchronous::Full => SqliteSynchronous::Full,
                Synchronous::Normal => SqliteSynchronous::Normal,
            })
            .busy_timeout(self.busy_timeout)
            .foreign_keys(true)
            .optimize_on_close(false, None);
        // A pool closes connections it deems idle or old; reopening costs statements and page
        // cache.
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
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
        let open_writer = || pool(1).connect_with(connect.clone());
        let writer = match open_writer().await {
            Err(error) if primary_code(&error) == Some(BUSY) => {
                let waiting = async {
                    loop {
                        tokio::time::sleep(RETRY_PAUSE).await;
                        match open_writer().await {
                            Err(error) if primary_code(&error) == Some(BUSY) => {}
                            opened => break opened,
                        }
                    }
                };
                let opened = tokio::time::timeout(self.busy_timeout, waiting).await;
                opened.unwrap_or(Err(error))
            }
            opened => opened,
        };
        let writer = writer.map_err(|error| cannot_open(error.into()))?;
        let reader = pool(self.readers)
            .connect_with(connect.read_only(true).create_if_missing(false))
            .await
            .map_err(|error| cannot_open(error.into()))?;
        Ok(Database {
            path,
            writer,
            reader,
            listeners: Arc::default(),
        })
    }
}
