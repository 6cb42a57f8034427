//! The outbox in PostgreSQL: many writers, so a position is drawn before its row is committed.

mod combined;
mod enqueue;
mod pace;
mod places;
mod roles;
mod rows;
mod shards;
mod statements;
mod wakeup;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::{
    Migration, Migrations, Namespace,
    postgres::{Database, Transaction, classify},
};
use mainstay_messaging::Message;
use sqlx::{PgConnection, SqlStr};

use crate::{
    Enqueued, Entry, Error, Fetched, HASH, Limit, Notifier, Outbox, Outcome, RelayStore, ShardLease,
};
use statements::Statements;
use wakeup::Wakeup;

pub use combined::Combined;
pub use roles::roles;
pub use sqlx;

/// The schema of the outbox, for those who run migrations themselves.
pub const MIGRATIONS: Migrations = Migrations {
    component: "outbox",
    steps: &[Migration {
        name: "0001_outbox",
        sql: include_str!("../migrations/postgres/0001_outbox.sql"),
    }],
};

/// An outbox in a PostgreSQL database. Clones share its notifier.
#[derive(Clone, Debug)]
pub struct PostgresOutbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    statements: Statements,
    options: Options,
    notifier: Notifier,
    wakeup: Wakeup,
}

/// Settings of a [`PostgresOutbox`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where its tables live; default: plain names.
    pub namespace: Namespace,
    /// How many relays can share the work; default 1. Written into the schema: it cannot be changed later.
    pub shards: u16,
    /// The largest message taken, in bytes of [`Message::size`]; set it to the broker's limit. Default 1 MiB.
    pub max_message_size: usize,
    /// How long an [deduplication key](crate::DeduplicationKey) is remembered; default 7 days.
    pub deduplication_key_retention: Duration,
    /// How often [listening](PostgresOutbox::listen) makes sure that it still hears; default 30 s.
    pub prove_listening_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: Namespace::plain(),
            shards: 1,
            max_message_size: 1024 * 1024,
            deduplication_key_retention: Duration::from_secs(7 * 24 * 3600),
            prove_listening_every: Duration::from_secs(30),
        }
    }
}

impl PostgresOutbox {
    /// Opens the outbox in `database` and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::OtherLayout`] when the schema was laid out with another number of shards;
    /// [`Error::Database`] when it is newer than this build, or the server cannot be worked with.
    pub async fn open(database: Database, options: Options) -> Result<Self, Error> {
        database.migrate(&MIGRATIONS, &options.namespace).await?;
        let outbox = Self {
            inner: Arc::new(Inner {
                statements: Statements::new(&options.namespace),
                wakeup: Wakeup::new(&options.namespace.render("{ns}outbox")),
                database,
                options,
                notifier: Notifier::default(),
            }),
        };
        outbox.inner.agree_on_layout().await?;
        Ok(outbox)
    }
}

impl Inner {
    /// Where the layout is written already, nothing is needed but SELECT.
    async fn agree_on_layout(&self) -> Result<(), Error> {
        let (sql, shards) = (&self.statements, self.options.shards.max(1));
        let mut tx = self.begin(&sql.begin_layout).await?;
        let mut stored = self.layout(&mut tx).await?;
        if stored.is_none() {
            // Of several processes at once one writes; the others wait for it here and read what it wrote.
            sqlx::query(sql.lay_out.clone())
                .persistent(self.database.keeps_statements())
                .bind(i32::from(shards))
                .bind(HASH)
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
            stored = self.layout(&mut tx).await?;
        }
        commit(tx).await?;
        match stored {
            Some((stored, hash)) if stored == i32::from(shards) && hash == HASH => Ok(()),
            stored => {
                let (stored, stored_hash) = stored.unwrap_or_default();
                Err(Error::OtherLayout {
                    stored: u16::try_from(stored).unwrap_or(u16::MAX),
                    stored_hash,
                    configured: shards,
                    configured_hash: HASH,
                })
            }
        }
    }

    async fn layout(&self, connection: &mut PgConnection) -> Result<Option<(i32, String)>, Error> {
        sqlx::query_as(self.statements.layout.clone())
            .persistent(self.database.keeps_statements())
            .fetch_optional(connection)
            .await
            .map_err(driver)
    }

    /// A transaction for every protocol, also one of a single statement: a pooler in transaction mode may give its
    /// statements to several sessions otherwise, and what a statement needs is SET LOCAL in the same round trip.
    async fn begin(&self, statement: &SqlStr) -> Result<Transaction, Error> {
        Ok(self.database.begin_with(statement.clone()).await?)
    }
}

/// Commits a transaction in which no error was swallowed.
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

    fn ring(&self) {
        self.inner.notifier.ring();
        self.inner.wakeup.rung.notify_one();
    }
}

#[async_trait]
impl RelayStore for PostgresOutbox {
    async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<ShardLease>, Error> {
        self.inner.lease(owner, lease).await
    }

    async fn fetch(&self, holds: &[ShardLease], limit: Limit) -> Result<Fetched, Error> {
        self.inner.fetch(holds, limit).await
    }

    async fn record(&self, holds: &[ShardLease], outcome: &Outcome) -> Result<(), Error> {
        self.inner.record(holds, outcome).await
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

/// A duration as the tables have it. Statements add it to the server's time, which leaves room for 146,000 years.
fn micros(duration: Duration) -> i64 {
    const LONGEST: i64 = i64::MAX / 2;
    i64::try_from(duration.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}
