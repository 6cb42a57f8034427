//! The outbox in a SQLite file. There is one writer at a time, so rows are in the order of commits.

mod enqueue;
mod operator;
#[cfg(test)]
mod plans;
mod row_set;
mod rows;
mod schema;
mod shards;
mod statements;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    commits::CommitListener,
    sqlite::{Database, Transaction, classify},
};
use mainstay_messaging::Message;
use sqlx::SqliteConnection;

use crate::{
    Enqueued, Entry, Error, Outbox, OutboxBuilder,
    builder::Settings,
    store::{
        Fetched, Limit, Notifier, Origin, Outcome, RelayStore, RowRef, SHARD_HASH, ShardLease,
    },
};
use statements::Statements;

/// The schema of the outbox, for those who run migrations with their own tool.
pub const MIGRATIONS: Migrations = Migrations {
    component: "outbox",
    steps: &[
        Migration {
            name: "0001_outbox",
            sql: include_str!("../migrations/sqlite/0001_outbox.sql"),
        },
        Migration {
            name: "0002_heads",
            sql: include_str!("../migrations/sqlite/0002_heads.sql"),
        },
        Migration {
            name: "0003_acts",
            sql: include_str!("../migrations/sqlite/0003_acts.sql"),
        },
    ],
};

/// An outbox in a SQLite file. Clones share it.
///
/// Commits through the [`Database`] it was opened with, and its clones, notify the relay.
#[derive(Clone, Debug)]
pub struct SqliteOutbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    statements: Statements,
    settings: Settings,
    origin: Origin,
    notifier: Notifier,
}

impl SqliteOutbox {
    /// Starts to open the outbox in `database`.
    pub fn builder(database: impl Into<Database>) -> OutboxBuilder<Database> {
        OutboxBuilder::new(database.into())
    }
}

impl OutboxBuilder<Database> {
    /// Where the tables are; default: plain names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.settings.namespace = namespace;
        self
    }

    /// Brings the schema up to date and opens the outbox.
    ///
    /// # Errors
    /// [`Error::LayoutMismatch`] when the schema was created with another number of shards.
    /// [`Error::Database`] when the schema is newer than this build, or the file is busy.
    pub async fn open(self) -> Result<SqliteOutbox, Error> {
        self.database
            .migrate(&MIGRATIONS, &self.settings.namespace)
            .await?;
        self.open_existing().await
    }

    /// Opens the outbox in a schema that another tool made from [`MIGRATIONS`].
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Error::MissingSchema`] which names the table or column
    /// that is missing.
    pub async fn open_without_migrating(self) -> Result<SqliteOutbox, Error> {
        schema::check(&self.database, &self.settings.namespace).await?;
        self.open_existing().await
    }

    async fn open_existing(self) -> Result<SqliteOutbox, Error> {
        let (database, settings, origin) = self.finish()?;
        let inner = Arc::new(Inner {
            statements: Statements::new(&settings.namespace),
            notifier: Notifier::new(Arc::clone(origin.clock())),
            database,
            settings,
            origin,
        });
        inner.agree_on_layout().await?;
        let listener: Weak<Inner> = Arc::downgrade(&inner);
        inner.database.on_commit(listener);
        Ok(SqliteOutbox { inner })
    }
}

impl Inner {
    async fn agree_on_layout(&self) -> Result<(), Error> {
        let (sql, shards) = (&self.statements, self.settings.shards);
        let mut tx = self.database.begin().await?;
        let stored: Option<(u16, String)> = sqlx::query_as(sql.layout.clone())
            .fetch_optional(&mut *tx)
            .await
            .map_err(driver)?;
        if let Some((stored, hash)) = stored {
            return self.settings.check_layout(stored, hash);
        }
        sqlx::query(sql.create_layout.clone())
            .bind(shards)
            .bind(SHARD_HASH)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(sql.create_shards.clone())
            .bind(shards)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await
    }
}

/// Commits a transaction of the relay, which has nothing to tell the relay about.
async fn commit(transaction: Transaction) -> Result<(), Error> {
    transaction.commit().await.map_err(driver)
}

impl CommitListener for Inner {
    fn committed(&self) {
        self.notifier.committed_alone();
    }
}

#[async_trait]
impl Outbox for SqliteOutbox {
    type Connection = SqliteConnection;

    async fn enqueue_batch(
        &self,
        connection: &mut SqliteConnection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        self.inner.enqueue_batch(connection, entries).await
    }

    async fn enqueue(
        &self,
        connection: &mut SqliteConnection,
        message: &Message,
    ) -> Result<(), Error> {
        self.inner.enqueue(connection, message).await
    }

    fn notify(&self) {
        self.inner.notifier.notify();
    }

    fn origin(&self) -> &Origin {
        &self.inner.origin
    }
}

#[async_trait]
impl RelayStore for SqliteOutbox {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        self.inner.lease(owner, lease).await
    }

    async fn fetch(
        &self,
        leases: &[ShardLease],
        limit: Limit,
        in_flight: &[RowRef],
    ) -> Result<Fetched, Error> {
        self.inner.fetch(leases, limit, in_flight).await
    }

    async fn record(&self, leases: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        self.inner.record(leases, outcome).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.inner.release(owner).await
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.inner.notifier)
    }
}

fn driver(error: sqlx::Error) -> Error {
    Error::Database(classify(error))
}

/// A set as JSON, to bind to one statement.
fn json(set: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(set)
        .map_err(|error| Error::Database(mainstay_database::Error::Failed(error.into())))
}
