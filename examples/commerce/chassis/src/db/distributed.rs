//! PostgreSQL: one database per service on one server. Transactions write concurrently, at READ
//! COMMITTED.

mod creation;
mod server_snapshot;
mod shared_limits;

use std::{
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use mainstay_database::{Error as DatabaseError, Namespace};
use mainstay_idempotency::{Error as KeysError, MemoryLeases, RedisLeases, redis::Client};
use sqlx::{PgConnection, PgPool, postgres::PgConnectOptions};

use super::StorageSettings;
use crate::{Error, Leases, Log, RateLimits, Result, leases::CALLS_KEPT};
use shared_limits::SharedRateLimits;

pub(crate) use mainstay_database::postgres::{Database, classify};
pub(crate) use mainstay_dlock::postgres::{
    MIGRATIONS as LOCKS_MIGRATIONS, PostgresFences as Fences, PostgresLeases as LockLeases,
};
pub(crate) use mainstay_dlq::postgres::MIGRATIONS as QUEUE_MIGRATIONS;
pub(crate) use mainstay_eventstore::postgres::MIGRATIONS as STREAMS_MIGRATIONS;
pub use mainstay_eventstore::postgres::PostgresEventStore as Streams;
pub(crate) use mainstay_idempotency::postgres::MIGRATIONS as RECORDS_MIGRATIONS;
pub use mainstay_idempotency::postgres::PostgresRecords as Records;
pub(crate) use mainstay_inbox::postgres::MIGRATIONS as INBOX_MIGRATIONS;
pub use mainstay_inbox::postgres::PostgresInbox as Inbox;
pub(crate) use mainstay_outbox::postgres::MIGRATIONS as OUTBOX_MIGRATIONS;
pub use mainstay_outbox::postgres::PostgresOutbox as Outbox;
pub(crate) use mainstay_saga::postgres::MIGRATIONS as SAGAS_MIGRATIONS;
pub use mainstay_saga::postgres::PostgresSagas as Sagas;
pub use server_snapshot::Snapshot;

/// The connection that statements run on.
pub type Connection = PgConnection;
/// A pool of connections.
pub type Pool = PgPool;

/// Whether services keep their data on a server instead of in files.
pub const ON_A_SERVER: bool = true;

/// Whether a database has the table of its log binding.
pub(crate) const HAS_LOG_BINDING: &str = "SELECT to_regclass('log_binding') IS NOT NULL";

/// The services' databases on a server, and the broker's log.
#[derive(Clone)]
pub struct Storage {
    data: PathBuf,
    log: Log,
    server: PgConnectOptions,
    prefix: String,
    redis: Option<Client>,
}

impl Storage {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`]: no server is given, or its URL, the prefix or the directory is invalid.
    pub fn new(settings: &StorageSettings) -> Result<Self> {
        let url = settings.postgres.as_deref().ok_or(Error::Setting {
            what: "this build needs a PostgreSQL server: --postgres URL, COMMERCE_POSTGRES or `postgres` in the configuration",
        })?;
        // The parser's error may hold the password.
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let server = PgConnectOptions::from_str(url).ok().filter(|_| is_url);
        let server = server.ok_or(Error::Setting {
            what: "the PostgreSQL URL is invalid: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %2F for / and the like in user and password",
        })?;
        let prefix = settings
            .postgres_prefix
            .as_deref()
            .unwrap_or("commerce_")
            .to_owned();
        let fits = prefix.len() <= 40
            && prefix.starts_with(|first: char| first.is_ascii_lowercase())
            && prefix
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !fits {
            return Err(Error::Setting {
                what: "postgres-prefix is invalid: expected at most 40 characters of a-z, 0-9 and _, a letter first",
            });
        }
        // The parser's error may hold the password.
        let redis = settings.redis.as_deref().map(Client::open).transpose();
        let redis = redis.map_err(|_| Error::Setting {
            what: "the Redis URL is invalid: expected redis://USER:PASSWORD@HOST:PORT, with %2F for / and the like in user and password",
        })?;
        Ok(Self {
            data: settings.directory()?,
            log: Log::new(settings)?,
            server,
            prefix,
            redis,
        })
    }

    /// Leases on the keys of calls: in Redis, where all processes of the deployment share them, or
    /// without a server in the memory of this process.
    pub(crate) async fn leases(&self) -> Result<Leases> {
        let Some(client) = &self.redis else {
            let leases = MemoryLeases::builder().lifetime(CALLS_KEPT);
            return Ok(Arc::new(leases.build()));
        };
        let away = |error| KeysError::Unavailable(Box::new(error));
        let connection = client.get_connection_manager().await.map_err(away)?;
        let namespace = Namespace::prefixed(&self.prefix).map_err(|_| Error::Setting {
            what: "postgres-prefix is too long for keys in Redis: expected at most 30 characters",
        })?;
        let leases = RedisLeases::builder(connection).namespace(namespace);
        Ok(Arc::new(leases.lifetime(CALLS_KEPT).open().await?))
    }

    /// What counts the requests of clients for all processes; none without a Redis server. It is
    /// connected with the first request.
    ///
    /// # Errors
    /// [`Error::Setting`]: the URL of the server names an option that it does not have.
    pub fn rate_limits(&self, per_second: NonZeroU32) -> Result<Option<Arc<dyn RateLimits>>> {
        let Some(client) = &self.redis else {
            return Ok(None);
        };
        let limits = SharedRateLimits::new(client, &self.prefix, per_second);
        // The error may hold the password.
        let limits = limits.map_err(|_| Error::Setting {
            what: "the Redis URL is invalid: it cannot be connected to",
        })?;
        Ok(Some(Arc::new(limits)))
    }

    /// The directory that processes of one machine share: it has the log, unless Kafka has it.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The name of the database of `name` on the server.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The broker's log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) async fn open(&self, name: &str) -> Result<Database> {
        let database = format!("{}{name}", self.prefix);
        // Never through a URL again: its text cannot say all of these options.
        let builder = Database::builder_with(self.server.clone().database(&database));
        match builder.clone().open().await {
            Err(DatabaseError::CannotOpen { source, .. }) if creation::is_missing(&*source) => {
                creation::create(&self.server, &database).await?;
                Ok(builder.open().await?)
            }
            opened => Ok(opened?),
        }
    }

    /// The same, but a missing database is an error.
    pub(crate) async fn open_existing(&self, name: &str) -> Result<Database> {
        let database = format!("{}{name}", self.prefix);
        let builder = Database::builder_with(self.server.clone().database(&database));
        Ok(builder.open().await?)
    }

    /// Opens a read-only snapshot of the database of `name`.
    ///
    /// # Errors
    /// The database does not exist, or the server does not answer.
    pub async fn snapshot(&self, name: &str) -> Result<Snapshot> {
        let name = format!("{}{name}", self.prefix);
        let options = self.server.clone().database(&name);
        Snapshot::open(name, &options).await
    }

    /// As [`snapshot`](Self::snapshot); none = the database does not exist: the service
    /// was never started.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn find_snapshot(&self, name: &str) -> Result<Option<Snapshot>> {
        match self.snapshot(name).await {
            Err(Error::Database(DatabaseError::CannotOpen { source, .. }))
                if creation::is_missing(&*source) =>
            {
                Ok(None)
            }
            looked => looked.map(Some),
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.to_string()).finish()
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match self.server.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", self.server.get_host(), self.server.get_port()),
        };
        let (prefix, log) = (&self.prefix, &self.log);
        write!(
            f,
            "PostgreSQL at {server}, databases {prefix}*; the log {log}"
        )
    }
}

pub(crate) const fn reader(database: &Database) -> &Pool {
    database.pool()
}

/// The migrations of a component, by their names: files in `migrations/postgres`.
#[macro_export]
macro_rules! migrations {
    ($component:literal, $($name:literal),+) => {
        ::mainstay_database::Migrations {
            component: $component,
            steps: &[$(::mainstay_database::Migration {
                name: $name,
                sql: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
            }),+],
        }
    };
}

/// A query that locks its rows of `$table`, because this transaction will change them. The query
/// orders the rows, so that two transactions cannot deadlock.
#[macro_export]
macro_rules! locking {
    ($query:literal, $table:literal) => {
        concat!($query, " FOR UPDATE OF ", $table)
    };
}

/// As `locking`, and skips rows that another transaction has locked.
#[macro_export]
macro_rules! locking_free {
    ($query:literal, $table:literal) => {
        concat!($query, " FOR UPDATE OF ", $table, " SKIP LOCKED")
    };
}
