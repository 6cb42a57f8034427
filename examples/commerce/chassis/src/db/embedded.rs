//! SQLite: one file per service.

use std::{
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use mainstay_database::Error as DatabaseError;
use mainstay_idempotency::MemoryLeases;
use sqlx::{SqliteConnection, SqlitePool};

use super::{FileSnapshot, StorageSettings, file_snapshot};
use crate::{Error, Leases, Log, RateLimits, Result, leases::CALLS_KEPT};

pub(crate) use mainstay_database::sqlite::{Database, classify};
pub(crate) use mainstay_dlock::sqlite::{
    MIGRATIONS as LOCKS_MIGRATIONS, SqliteFences as Fences, SqliteLeases as LockLeases,
};
pub(crate) use mainstay_dlq::sqlite::MIGRATIONS as QUEUE_MIGRATIONS;
pub(crate) use mainstay_eventstore::sqlite::MIGRATIONS as STREAMS_MIGRATIONS;
pub use mainstay_eventstore::sqlite::SqliteEventStore as Streams;
pub(crate) use mainstay_idempotency::sqlite::MIGRATIONS as RECORDS_MIGRATIONS;
pub use mainstay_idempotency::sqlite::SqliteRecords as Records;
pub(crate) use mainstay_inbox::sqlite::MIGRATIONS as INBOX_MIGRATIONS;
pub use mainstay_inbox::sqlite::SqliteInbox as Inbox;
pub(crate) use mainstay_outbox::sqlite::MIGRATIONS as OUTBOX_MIGRATIONS;
pub use mainstay_outbox::sqlite::SqliteOutbox as Outbox;
pub(crate) use mainstay_saga::sqlite::MIGRATIONS as SAGAS_MIGRATIONS;
pub use mainstay_saga::sqlite::SqliteSagas as Sagas;

/// The connection that statements run on.
pub type Connection = SqliteConnection;
/// A pool of connections.
pub type Pool = SqlitePool;
/// A read-only snapshot of a service's database.
pub type Snapshot = FileSnapshot;

/// Whether services keep their data on a server instead of in files.
pub const ON_A_SERVER: bool = false;

/// Whether a database has the table of its log binding.
pub(crate) const HAS_LOG_BINDING: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'log_binding')";

/// The directory of the services' files and of the broker's log.
#[derive(Clone, Debug)]
pub struct Storage {
    data: PathBuf,
    log: Log,
}

impl Storage {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`]: the directory is invalid, or a server is given, but this build uses files
    /// only.
    pub fn new(settings: &StorageSettings) -> Result<Self> {
        if settings.postgres.is_some() || settings.postgres_prefix.is_some() {
            return Err(Error::Setting {
                what: "this build keeps its data in files: for PostgreSQL, build with `--features distributed`",
            });
        }
        if settings.redis.is_some() {
            return Err(Error::Setting {
                what: "this build keeps leases in memory: for Redis, build with `--features distributed`",
            });
        }
        Ok(Self {
            data: settings.directory()?,
            log: Log::new(settings)?,
        })
    }

    /// Leases on the keys of calls, in the memory of this process.
    #[expect(
        clippy::unused_async,
        reason = "the other backend connects to a server"
    )]
    pub(crate) async fn leases(&self) -> Result<Leases> {
        let leases = MemoryLeases::builder().lifetime(CALLS_KEPT);
        Ok(Arc::new(leases.build()))
    }

    /// What counts the requests of clients for all processes: nothing in this build.
    ///
    /// # Errors
    /// None in this build.
    pub fn rate_limits(&self, _: NonZeroU32) -> Result<Option<Arc<dyn RateLimits>>> {
        Ok(None)
    }

    /// The directory of the files.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The name of the database of `name`: a file in the directory.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        format!("{name}.db")
    }

    /// The broker's log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) async fn open(&self, name: &str) -> Result<Database> {
        Ok(Database::open(self.data().join(format!("{name}.db"))).await?)
    }

    /// The same, but a missing file is an error.
    pub(crate) async fn open_existing(&self, name: &str) -> Result<Database> {
        if let Some(snapshot) = self.find_snapshot(name).await? {
            snapshot.close().await?;
            return self.open(name).await;
        }
        let what = self.data().join(format!("{name}.db")).display().to_string();
        let source = file_snapshot::MISSING.into();
        Err(DatabaseError::CannotOpen { what, source }.into())
    }

    /// Opens a read-only snapshot of the database of `name`.
    ///
    /// # Errors
    /// The file does not exist.
    pub async fn snapshot(&self, name: &str) -> Result<Snapshot> {
        FileSnapshot::open(self.data(), name).await
    }

    /// As [`snapshot`](Self::snapshot); none = the file does not exist: the service was
    /// never started.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn find_snapshot(&self, name: &str) -> Result<Option<Snapshot>> {
        FileSnapshot::find(self.data(), name).await
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files in {}", self.data().display())
    }
}

pub(crate) const fn reader(database: &Database) -> &Pool {
    database.reader()
}

/// The migrations of a component, by their names: files in `migrations/sqlite`.
#[macro_export]
macro_rules! migrations {
    ($component:literal, $($name:literal),+) => {
        ::mainstay_database::Migrations {
            component: $component,
            steps: &[$(::mainstay_database::Migration {
                name: $name,
                sql: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            }),+],
        }
    };
}

/// A query whose rows this transaction will change. Only one transaction writes, so no lock is
/// needed.
#[macro_export]
macro_rules! locking {
    ($query:literal, $table:literal) => {
        $query
    };
}

/// As `locking`: no other transaction can have locked a row.
#[macro_export]
macro_rules! locking_free {
    ($query:literal, $table:literal) => {
        $query
    };
}
