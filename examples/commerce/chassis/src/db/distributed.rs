//! PostgreSQL: one database per service on one server. Many transactions write at once, at READ COMMITTED.

mod creation;
mod server_look;

use std::{fmt, path::Path, str::FromStr};

use mainstay_database::{Error as DatabaseError, Migration, Migrations};
use sqlx::{ConnectOptions as _, PgConnection, PgPool, postgres::PgConnectOptions};

use super::Storage;
use crate::{Error, Result};

pub(crate) use mainstay_database::postgres::{Database, classify};
pub(crate) use mainstay_inbox::postgres::{MIGRATIONS as INBOX_MIGRATIONS, PostgresInbox as Inbox};
pub(crate) use mainstay_outbox::postgres::PostgresOutbox as Outbox;
pub use server_look::Look;

/// What a statement runs on.
pub type Connection = PgConnection;
/// Connections to choose from.
pub type Pool = PgPool;

/// Whether services keep their data on a server, rather than in files.
pub const ON_A_SERVER: bool = true;

/// What every database needs before a service's own tables.
pub(crate) const PREPARATIONS: &[Migrations] = &[Migrations {
    component: "portable",
    steps: &[Migration {
        name: "0001_portable",
        sql: include_str!("../../migrations/postgres/0001_portable.sql"),
    }],
}];

/// Whether a database says which log it belongs to.
pub(crate) const IS_THERE_A_BELONGING: &str = "SELECT to_regclass('belonging') IS NOT NULL";

/// How a database and its log get together again.
pub(crate) const GET_TOGETHER: &str = "start with the --data that it was used with, or begin anew with a fresh --data and a fresh --postgres-prefix";

/// Where the services keep their data: databases on a server. The broker's log is a file in a directory.
#[derive(Clone)]
pub struct Place {
    storage: Storage,
    server: PgConnectOptions,
    prefix: String,
}

impl Place {
    /// The place that `storage` says.
    ///
    /// # Errors
    /// [`Error::Setting`]: no server is named, or what names it cannot be read.
    pub fn new(storage: Storage) -> Result<Self> {
        let url = storage.postgres.as_deref().ok_or(Error::Setting {
            what: "this build needs a PostgreSQL server: --postgres URL, COMMERCE_POSTGRES or `postgres` in the configuration",
        })?;
        // What is wrong with it may hold the password.
        let server = PgConnectOptions::from_str(url).map_err(|_| Error::Setting {
            what: "the PostgreSQL URL cannot be read: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        })?;
        let prefix = storage
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
                what: "the prefix of the databases: expected at most 40 of a-z, 0-9 and _, a letter first",
            });
        }
        Ok(Self {
            storage,
            server,
            prefix,
        })
    }

    /// The directory of the files.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.storage.data
    }

    pub(crate) async fn open(&self, name: &str) -> Result<Database> {
        let database = format!("{}{name}", self.prefix);
        let url = self.server.clone().database(&database).to_url_lossy();
        match Database::connect(url.as_str()).await {
            Err(DatabaseError::CannotOpen { source, .. }) if creation::is_missing(&*source) => {
                creation::create(&self.server, &database).await?;
                Ok(Database::connect(url.as_str()).await?)
            }
            opened => Ok(opened?),
        }
    }

    /// Opens the database of `name` to look at it.
    ///
    /// # Errors
    /// It is not there, or the server is not.
    pub async fn look(&self, name: &str) -> Result<Look> {
        let name = format!("{}{name}", self.prefix);
        let options = self.server.clone().database(&name);
        Look::open(name, &options).await
    }

    /// The same, if it is there.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Look>> {
        match self.look(name).await {
            Err(Error::Database(DatabaseError::CannotOpen { source, .. }))
                if creation::is_missing(&*source) =>
            {
                Ok(None)
            }
            looked => looked.map(Some),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.to_string()).finish()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PostgreSQL at {}:{}, databases {}*; the log in {}",
            self.server.get_host(),
            self.server.get_port(),
            self.prefix,
            self.data().display()
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

/// A query whose rows of `$table` this transaction will change: nobody else changes them until it ends. The query orders
/// them, so that two transactions do not wait for each other.
#[macro_export]
macro_rules! locking {
    ($query:literal, $table:literal) => {
        concat!($query, " FOR UPDATE OF ", $table)
    };
}

/// As `locking`, leaving out the rows that somebody else has locked.
#[macro_export]
macro_rules! locking_free {
    ($query:literal, $table:literal) => {
        concat!($query, " FOR UPDATE OF ", $table, " SKIP LOCKED")
    };
}
