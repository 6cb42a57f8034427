//! The outbox in a SQLite file: one writer at a time, so the order of rows is the order of commits.

mod enqueue;
mod row_set;
mod rows;
mod shards;
mod statements;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{Clock, SystemClock};
use mainstay_database::{
    Migration, Migrations, Namespace, Transactions,
    sqlite::{Database, classify},
};
use mainstay_messaging::Message;
use sqlx::SqliteConnection;

use crate::{
    Enqueued, Entry, Error, Fetched, HASH, Limit, Notifier, Outbox, Outcome, RelayStore, ShardLease,
};
use statements::Statements;

pub use sqlx;

/// The schema of the outbox, for those who run migrations themselves.
pub const MIGRATIONS: Migrations = Migrations {
    component: "outbox",
    steps: &[Migration {
        name: "0001_outbox",
        sql: include_str!("../migrations/sqlite/0001_outbox.sql"),
    }],
};

/// An outbox in a SQLite file. Clones share its notifier.
#[derive(Clone, Debug)]
pub struct SqliteOutbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    statements: Statements,
    options: Options,
    notifier: Notifier,
}

/// Settings of a [`SqliteOutbox`].
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
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: Namespace::plain(),
            shards: 1,
            max_message_size: 1024 * 1024,
            deduplication_key_retention: Duration::from_secs(7 * 24 * 3600),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl SqliteOutbox {
    /// Opens the outbox in `database` and brings its schema up to date.
    ///
    /// # Errors
    /// [`Error::OtherLayout`] when the schema was laid out with another number of shards;
    /// [`Error::Database`] when it is newer than this build, or the file is busy.
    pub async fn open(database: Database, options: Options) -> Result<Self, Error> {
        database.migrate(&MIGRATIONS, &options.namespace).await?;
        let outbox = Self {
            inner: Arc::new(Inner {
                statements: Statements::new(&options.namespace),
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
    async fn agree_on_layout(&self) -> Result<(), Error> {
        let (sql, shards) = (&self.statements, self.options.shards.max(1));
        let mut tx = self.database.begin().await?;
        let stored: Option<(u16, String)> = sqlx::query_as(sql.layout.clone())
            .fetch_optional(&mut *tx)
            .await
            .map_err(driver)?;
        match stored {
            Some((stored, hash)) if stored == shards && hash == HASH => return Ok(()),
            Some((stored, stored_hash)) => {
                return Err(Error::OtherLayout {
                    stored,
                    stored_hash,
                    configured: shards,
                    configured_hash: HASH,
                });
            }
            None => {}
        }
        sqlx::query(sql.lay_out.clone())
            .bind(shards)
            .bind(HASH)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(sql.create_shards.clone())
            .bind(shards)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        Ok(self.database.commit(tx).await?)
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

    fn ring(&self) {
        self.inner.notifier.ring();
    }
}

#[async_trait]
impl RelayStore for SqliteOutbox {
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

/// A set as JSON, for one statement.
fn json(set: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(set)
        .map_err(|error| Error::Database(mainstay_database::Error::Failed(error.into())))
}

/// The README's example stores in SQLite, so it is tested where that feature is on.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
