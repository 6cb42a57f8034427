//! The outbox in PostgreSQL. Many transactions write at once, so a position is drawn before its row is
//! committed.

mod combined;
mod enqueue;
mod log_only;
mod operator;
mod pace;
#[cfg(test)]
mod plans;
mod roles;
mod row_refs;
mod rows;
mod schema;
mod shards;
mod statements;
mod wakeup;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    commits::CommitListener,
    postgres::{Database, Transaction, classify},
};
use mainstay_messaging::Message;
use sqlx::{PgConnection, SqlStr};

use crate::{
    Enqueued, Entry, Error, Outbox, OutboxBuilder,
    builder::Settings,
    store::{
        Fetched, Limit, Notifier, Origin, Outcome, RelayStore, RowRef, SHARD_HASH, ShardLease,
    },
};
use log_only::Deferring;
use statements::Statements;
use wakeup::Wakeup;

pub use combined::CombinedStatement;
pub use roles::roles;

/// The schema of the outbox, for those who run migrations with their own tool.
pub const MIGRATIONS: Migrations = Migrations {
    component: "outbox",
    steps: &[
        Migration {
            name: "0001_outbox",
            sql: include_str!("../migrations/postgres/0001_outbox.sql"),
        },
        Migration {
            name: "0002_heads",
            sql: include_str!("../migrations/postgres/0002_heads.sql"),
        },
        Migration {
            name: "0003_acts",
            sql: include_str!("../migrations/postgres/0003_acts.sql"),
        },
    ],
};

/// An outbox in a PostgreSQL database. Clones share it.
///
/// Commits through the [`Database`] it was opened with, and its clones, notify the relay. After a
/// commit through a pool of your own, call [`notify`](Outbox::notify).
#[derive(Clone, Debug)]
pub struct PostgresOutbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    statements: Statements,
    settings: Settings,
    origin: Origin,
    notifier: Notifier,
    wakeup: Wakeup,
    deferring: Deferring,
}

impl PostgresOutbox {
    /// Starts to open the outbox in `database`: a [`Database`], or a `PgPool` that exists.
    pub fn builder(database: impl Into<Database>) -> OutboxBuilder<Database> {
        OutboxBuilder::new(database.into())
    }

    async fn open_existing(
        database: Database,
        settings: Settings,
        origin: Origin,
    ) -> Result<Self, Error> {
        let inner = Arc::new(Inner {
            statements: Statements::new(&settings.namespace),
            wakeup: Wakeup::new(&settings.namespace.render("{ns}outbox")),
            deferring: Deferring::default(),
            notifier: Notifier::new(Arc::clone(origin.clock())),
            database,
            settings,
            origin,
        });
        inner.agree_on_layout().await?;
        let listener: Weak<Inner> = Arc::downgrade(&inner);
        inner.database.on_commit(listener);
        Ok(Self { inner })
    }
}

impl OutboxBuilder<Database> {
    /// Where the tables are; default: plain names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.settings.namespace = namespace;
        self
    }

    /// How often [`listen`](PostgresOutbox::listen) checks that it still receives notifications;
    /// default 30 s, at least 100 ms. Each check opens a connection.
    pub const fn listen_check_interval(mut self, interval: Duration) -> Self {
        self.settings.listen_check_interval = interval;
        self
    }

    /// Brings the schema up to date and opens the outbox.
    ///
    /// # Errors
    /// [`Error::InvalidName`] and [`Error::TooShort`] before anything is read.
    /// [`Error::LayoutMismatch`] when the schema was created with another number of shards.
    /// [`Error::Database`] when the schema is newer than this build, or the server cannot be used.
    pub async fn open(self) -> Result<PostgresOutbox, Error> {
        let (database, settings, origin) = self.finish()?;
        database.migrate(&MIGRATIONS, &settings.namespace).await?;
        PostgresOutbox::open_existing(database, settings, origin).await
    }

    /// Opens the outbox in a schema that another tool made from [`MIGRATIONS`].
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Error::MissingSchema`] which names the table or column
    /// that is missing.
    pub async fn open_without_migrating(self) -> Result<PostgresOutbox, Error> {
        let (database, settings, origin) = self.finish()?;
        schema::check(&database, &settings.namespace).await?;
        PostgresOutbox::open_existing(database, settings, origin).await
    }
}

impl Inner {
    /// Needs SELECT only where the layout is written already.
    async fn agree_on_layout(&self) -> Result<(), Error> {
        let (sql, shards) = (&self.statements, self.settings.shards);
        let mut tx = self.begin(&sql.begin_layout).await?;
        let mut stored = self.layout(&mut tx).await?;
        if stored.is_none() {
            // Of several processes that start at once, one writes it. The others wait here, then read it.
            sqlx::query(sql.create_layout.clone())
                .persistent(self.database.keeps_statements())
                .bind(i32::from(shards))
                .bind(SHARD_HASH)
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
            stored = self.layout(&mut tx).await?;
        }
        commit(tx).await?;
        let (stored, hash) = stored.unwrap_or_default();
        let stored = u16::try_from(stored).unwrap_or(u16::MAX);
        self.settings.check_layout(stored, hash)
    }

    async fn layout(&self, connection: &mut PgConnection) -> Result<Option<(i32, String)>, Error> {
        sqlx::query_as(self.statements.layout.clone())
            .persistent(self.database.keeps_statements())
            .fetch_optional(connection)
            .await
            .map_err(driver)
    }

    /// Opens a transaction, even for a single statement: a pooler in transaction mode could send parts
    /// of it to several sessions, and what the statement needs is SET LOCAL in the same round trip.
    async fn begin(&self, statement: &SqlStr) -> Result<Transaction, Error> {
        Ok(self.database.begin_with(statement.clone()).await?)
    }

    /// Notifies the relay of this process, and through `announce` those of other processes.
    fn notify(&self) {
        self.notifier.notify();
        self.wakeup.committed.notify_one();
    }
}

impl CommitListener for Inner {
    fn committed(&self) {
        if self.notifier.committed() {
            self.wakeup.committed.notify_one();
        }
    }
}

/// Commits a transaction of the relay in which every error was returned.
async fn commit(transaction: Transaction) -> Result<(), Error> {
    transaction.commit().await.map_err(driver)
}

#[async_trait]
impl Outbox for PostgresOutbox {
    type Connection = PgConnection;

    async fn enqueue_batch(
        &self,
        connection: &mut PgConnection,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Enqueued>, Error> {
        self.inner.enqueue_batch(connection, entries).await
    }

    async fn enqueue(&self, connection: &mut PgConnection, message: &Message) -> Result<(), Error> {
        self.inner.enqueue(connection, message).await
    }

    fn notify(&self) {
        self.inner.notify();
    }

    fn origin(&self) -> &Origin {
        &self.inner.origin
    }
}

#[async_trait]
impl RelayStore for PostgresOutbox {
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

/// A duration in microseconds, as the tables store it. Statements add it to the server's time, which
/// leaves room for 146,000 years.
fn micros(duration: Duration) -> i64 {
    const LONGEST: i64 = i64::MAX / 2;
    i64::try_from(duration.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}
