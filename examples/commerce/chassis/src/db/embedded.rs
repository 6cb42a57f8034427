//! SQLite: one file per service, nothing else installed.

use std::{fmt, path::Path};

use mainstay_database::Migrations;
use sqlx::{SqliteConnection, SqlitePool};

use super::{FileLook, Storage};
use crate::{Error, Result};

pub(crate) use mainstay_database::sqlite::{Database, classify};
pub(crate) use mainstay_inbox::sqlite::{MIGRATIONS as INBOX_MIGRATIONS, SqliteInbox as Inbox};
pub(crate) use mainstay_outbox::sqlite::SqliteOutbox as Outbox;

/// What a statement runs on.
pub type Connection = SqliteConnection;
/// Connections to choose from.
pub type Pool = SqlitePool;
/// A service's database, to be looked at.
pub type Look = FileLook;

/// Whether services keep their data on a server, rather than in files.
pub const ON_A_SERVER: bool = false;

/// What every database needs before a service's own tables.
pub(crate) const PREPARATIONS: &[Migrations] = &[];

/// Whether a database says which log it belongs to.
pub(crate) const IS_THERE_A_BELONGING: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'belonging')";

/// How a database and its log get together again.
pub(crate) const GET_TOGETHER: &str = "put back the broker.db that it was used with, and the broker.db-wal beside it if there was one, in place of those here, or begin anew with a fresh --data";

/// Where the services keep their data: a directory.
#[derive(Clone, Debug)]
pub struct Place {
    storage: Storage,
}

impl Place {
    /// The place that `storage` says.
    ///
    /// # Errors
    /// [`Error::Setting`]: a server is named, and this build has files only.
    pub fn new(storage: Storage) -> Result<Self> {
        if storage.postgres.is_some() || storage.postgres_prefix.is_some() {
            return Err(Error::Setting {
                what: "this build keeps its data in files: for PostgreSQL, build with `--features distributed`",
            });
        }
        Ok(Self { storage })
    }

    /// The directory of the files.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.storage.data
    }

    pub(crate) async fn open(&self, name: &str) -> Result<Database> {
        Ok(Database::open(self.data().join(format!("{name}.db"))).await?)
    }

    /// Opens the database of `name` to look at it.
    ///
    /// # Errors
    /// It is not there.
    pub async fn look(&self, name: &str) -> Result<Look> {
        FileLook::open(self.data(), name).await
    }

    /// The same, if it is there.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Look>> {
        FileLook::find(self.data(), name).await
    }
}

impl fmt::Display for Place {
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

/// A query whose rows of `$table` this transaction will change. There is one transaction that writes: nothing to add.
#[macro_export]
macro_rules! locking {
    ($query:literal, $table:literal) => {
        $query
    };
}

/// As `locking`, leaving out the rows that somebody else has locked: there are none.
#[macro_export]
macro_rules! locking_free {
    ($query:literal, $table:literal) => {
        $query
    };
}
