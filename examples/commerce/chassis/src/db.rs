//! The database, chosen once: SQLite, one file per service.
//!
//! This is the only file that names it. A build for several machines puts another one here.

use std::path::Path;

use async_trait::async_trait;
use mainstay_database::{
    Error as DatabaseError, Migrations, Namespace, Transactions,
    sqlite::{Database, classify},
};
use serde::Serialize;
use sqlx::{SqliteConnection, SqlitePool};

use crate::{Error, Result, roles};

/// What a statement runs on.
pub type Connection = SqliteConnection;
/// An open transaction; rolls back on drop.
pub type OpenTransaction = <Database as Transactions>::Transaction;
/// Connections to choose from.
pub type Pool = SqlitePool;
/// The outbox in the service's database.
pub(crate) type Outbox = mainstay_outbox::sqlite::SqliteOutbox;
/// The inbox in the service's database.
pub(crate) type Inbox = mainstay_inbox::sqlite::SqliteInbox;

/// A service's own database. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Db {
    file: Database,
    transactions: roles::Transacting,
}

impl Db {
    /// Opens the file, creating it if it is missing.
    ///
    /// # Errors
    /// [`Error::Database`] names the file.
    pub async fn open(path: &Path) -> Result<Self> {
        let file = Database::open(path).await?;
        Ok(Self {
            transactions: roles::transactions(file.clone()),
            file,
        })
    }

    /// Brings a component's schema up to date.
    ///
    /// # Errors
    /// [`Error::Database`]: the schema is newer than this build, or was changed.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<()> {
        let namespace = Namespace::plain();
        self.file
            .migrate_with(migrations, &namespace, |_| roles::migrating())
            .await?;
        Ok(())
    }

    /// Connections for reading.
    #[must_use]
    pub const fn reader(&self) -> &Pool {
        self.file.reader()
    }

    /// The file, for the patterns that are built on it.
    #[must_use]
    pub const fn file(&self) -> &Database {
        &self.file
    }
}

#[async_trait]
impl Transactions for Db {
    type Connection = Connection;
    type Transaction = OpenTransaction;

    async fn begin(&self) -> Result<OpenTransaction, DatabaseError> {
        self.transactions.begin().await
    }

    async fn commit(&self, transaction: OpenTransaction) -> Result<(), DatabaseError> {
        self.transactions.commit(transaction).await
    }
}

/// Sorts a driver's error; `.map_err(sql)` stands behind every statement.
#[must_use]
pub fn sql(error: sqlx::Error) -> Error {
    Error::Database(classify(error))
}

/// A set of rows as the one parameter of a statement that reads it with `json_each($1)`: `value ->> 0` is the first field
/// of a row, as text or to be cast where a number is wanted.
///
/// # Errors
/// [`Error::Damaged`] never happens for rows of texts and numbers.
pub fn rows(set: &impl Serialize) -> Result<String> {
    serde_json::to_string(set).map_err(|error| Error::Damaged {
        what: "a set of rows",
        source: error.into(),
    })
}

/// A set of single values: rows of one field.
///
/// # Errors
/// As [`rows`].
pub fn column<T: Serialize>(set: impl IntoIterator<Item = T>) -> Result<String> {
    rows(&set.into_iter().map(|value| (value,)).collect::<Vec<_>>())
}
