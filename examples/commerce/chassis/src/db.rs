//! The database: SQLite, one file per service, or PostgreSQL with the feature `distributed`, one
//! database per service.
//!
//! Only this file names the choice. Both backends export the same names, so a service writes one
//! SQL text.

#[cfg(feature = "distributed")]
#[path = "db/distributed.rs"]
mod backend;
#[cfg(not(feature = "distributed"))]
#[path = "db/embedded.rs"]
mod backend;
mod file_snapshot;
mod queue;
mod settings;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::{Error as DatabaseError, Migrations, Namespace, Transactions};
use mainstay_dlock::Locks;
use mainstay_outbox::operator::Operator;

use crate::{Error, Result};

pub use backend::{Connection, ON_A_SERVER, Pool, Snapshot, Storage};
pub(crate) use backend::{Database, Fences, HAS_LOG_BINDING};
pub use backend::{Inbox, Outbox, Records, Sagas, Streams};
pub use file_snapshot::FileSnapshot;
pub use queue::{DeadLetters, Desk};
pub use settings::StorageSettings;

/// How long the answer to a request is kept and given again.
pub const ANSWERS_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An open transaction; rolls back on drop.
pub type OpenTransaction = <Database as Transactions>::Transaction;

/// The locks of a service's processes, beside the rows that they guard.
#[derive(Debug)]
pub(crate) struct Singletons {
    pub(crate) locks: Locks,
    pub(crate) fences: Fences,
}

/// A service's own database. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Db {
    database: Database,
}

impl Db {
    /// Opens the database of `name`, creating it if it is missing.
    ///
    /// # Errors
    /// [`Error::Database`] names it.
    pub async fn open(storage: &Storage, name: &str) -> Result<Self> {
        Ok(Self::on(storage.open(name).await?))
    }

    /// Opens the database of `name` as a service has left it: nothing is created or migrated.
    ///
    /// # Errors
    /// [`Error::Database`]: it does not exist, or cannot be opened.
    pub async fn open_existing(storage: &Storage, name: &str) -> Result<Self> {
        Ok(Self::on(storage.open_existing(name).await?))
    }

    fn on(database: Database) -> Self {
        Self { database }
    }

    /// Migrates a component's schema.
    ///
    /// # Errors
    /// [`Error::Database`]: the schema is newer than this build, or a migration was edited.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<()> {
        let namespace = Namespace::plain();
        self.database.migrate(migrations, &namespace).await?;
        Ok(())
    }

    /// Connections for reading.
    #[must_use]
    pub const fn reader(&self) -> &Pool {
        backend::reader(&self.database)
    }

    /// Migrates the schemas of the outbox and of the inbox with its dead letter queue.
    pub(crate) async fn migrate_messaging(&self) -> Result<()> {
        self.migrate(&backend::OUTBOX_MIGRATIONS).await?;
        self.migrate(&backend::INBOX_MIGRATIONS).await?;
        self.migrate(&backend::QUEUE_MIGRATIONS).await
    }

    /// Opens the outbox of `service` in it, as the service has left it.
    ///
    /// # Errors
    /// [`Error::Outbox`]: the service has not migrated the database yet.
    pub async fn outbox(
        &self,
        service: &str,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Result<Outbox> {
        let source = format!("/{service}");
        let outbox = Outbox::builder(&self.database).source(source);
        let outbox = outbox.clock(clock).ids(ids);
        Ok(outbox.open_without_migrating().await?)
    }

    /// Opens the inbox in it, with its dead letter queue.
    pub(crate) async fn dead_letters(&self) -> Result<DeadLetters> {
        let inbox = Inbox::builder(&self.database);
        let queue = DeadLetters::builder(inbox.open_without_migrating().await?);
        Ok(queue.open_without_migrating().await?)
    }

    /// What operators see and do about the messages that the broker refuses.
    ///
    /// # Errors
    /// [`Error::Outbox`]: the service has not migrated the database yet.
    pub async fn deferred(&self) -> Result<Arc<dyn Operator>> {
        let outbox = Outbox::builder(&self.database);
        Ok(Arc::new(outbox.open_without_migrating().await?))
    }

    /// What operators see and do about the messages that the service cannot handle.
    ///
    /// # Errors
    /// [`Error::Database`]: the service has not migrated the database yet.
    pub async fn desk(&self) -> Result<Desk> {
        Ok(queue::checked(self.dead_letters().await?.desk()))
    }

    /// Opens the locks of the service's processes in it.
    pub(crate) async fn singletons(&self) -> Result<Singletons> {
        self.migrate(&backend::LOCKS_MIGRATIONS).await?;
        let leases = backend::LockLeases::builder(&self.database);
        let fences = Fences::builder(&self.database);
        Ok(Singletons {
            locks: Locks::new(leases.open_without_migrating().await?),
            fences: fences.open_without_migrating().await?,
        })
    }

    /// Migrates the schema of sagas.
    pub(crate) async fn migrate_sagas(&self) -> Result<()> {
        self.migrate(&backend::SAGAS_MIGRATIONS).await
    }

    /// Opens the runs of sagas, and the steps of their participants, in it, as the service has left
    /// them.
    ///
    /// # Errors
    /// [`Error::Sagas`]: the service has not migrated the database yet.
    pub async fn sagas(&self) -> Result<Sagas> {
        let sagas = Sagas::builder(&self.database);
        Ok(sagas.open_without_migrating().await?)
    }

    /// Migrates the schema of streams of events.
    pub(crate) async fn migrate_streams(&self) -> Result<()> {
        self.migrate(&backend::STREAMS_MIGRATIONS).await
    }

    /// Opens the streams of events in it, as the service has left them.
    ///
    /// # Errors
    /// [`Error::Streams`]: the service has not migrated the database yet.
    pub async fn streams(&self) -> Result<Streams> {
        let streams = Streams::builder(&self.database);
        Ok(streams.open_without_migrating().await?)
    }

    /// Opens the answers to requests with an idempotency key in it.
    pub(crate) async fn records(&self) -> Result<Records> {
        self.migrate(&backend::RECORDS_MIGRATIONS).await?;
        let records = Records::builder(&self.database).lifetime(ANSWERS_KEPT);
        Ok(records.open_without_migrating().await?)
    }
}

#[async_trait]
impl Transactions for Db {
    type Connection = Connection;
    type Transaction = OpenTransaction;

    async fn begin(&self) -> Result<OpenTransaction, DatabaseError> {
        self.database.begin().await
    }

    async fn commit(&self, transaction: OpenTransaction) -> Result<(), DatabaseError> {
        self.database.commit(transaction).await
    }

    async fn savepoint(&self, connection: &mut Connection) -> Result<(), DatabaseError> {
        self.database.savepoint(connection).await
    }

    async fn release_savepoint(&self, connection: &mut Connection) -> Result<(), DatabaseError> {
        self.database.release_savepoint(connection).await
    }

    async fn roll_back_to_savepoint(
        &self,
        connection: &mut Connection,
    ) -> Result<(), DatabaseError> {
        self.database.roll_back_to_savepoint(connection).await
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.database.idle_limit()
    }
}

/// Classifies a driver's error: `.map_err(sql)` follows every statement.
#[must_use]
pub fn sql(error: sqlx::Error) -> Error {
    Error::Database(backend::classify(error))
}
