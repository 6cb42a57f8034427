//! PostgreSQL 14 or newer: one server, a pool of connections, transactions at READ COMMITTED.

mod builder;
mod migrate;
mod sqlstate;
mod stale;

use std::{
    panic,
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres,
    SqlSafeStr, SqlStr, postgres::PgConnectOptions,
};

use crate::{
    Error, Namespace, Transactions,
    commits::{CommitListener, CommitListeners},
};

use builder::ServerAddress;
use stale::Forgetting;

pub use builder::{Builder, NewPool};
pub(crate) use sqlstate::advice;
pub use sqlstate::classify;
pub(crate) use sqlstate::kind_of;
pub use sqlx;

/// An open transaction; derefs to [`PgConnection`], rolls back on drop.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

/// How long a server may take to say why it refuses a connection.
const HEARING: Duration = Duration::from_secs(2);

/// A database on a PostgreSQL server. Clones share its pool and its commit listeners.
///
/// ```no_run
/// use mainstay_database::{Error, postgres::{Database, sqlx::PgPool}};
///
/// async fn databases(url: &str, pool: PgPool) -> Result<(), Error> {
///     let own_pool = Database::connect(url).await?;
///     let existing_pool = Database::from(pool);
///     let pooled = Database::builder(url).max_connections(20).transaction_pooler(true).open().await?;
/// #   drop((own_pool, existing_pool, pooled));
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    begin: SqlStr,
    keeps_statements: bool,
    idle_limit: Duration,
    listeners: Arc<CommitListeners>,
    /// For a pool that exists; one of our own sees to it itself.
    forgetting: Option<Arc<Forgetting>>,
}

impl From<PgPool> for Database {
    /// With the defaults of [`builder_on`](Database::builder_on).
    fn from(pool: PgPool) -> Self {
        Self::builder_on(pool).build()
    }
}

impl From<&PgPool> for Database {
    fn from(pool: &PgPool) -> Self {
        pool.clone().into()
    }
}

impl From<&Self> for Database {
    fn from(database: &Self) -> Self {
        database.clone()
    }
}

impl Database {
    /// Connects to the server at `url`, `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder(url).open().await
    }

    /// A database with a pool of its own, on the server at `url`.
    pub fn builder(url: impl Into<String>) -> Builder<NewPool> {
        Builder::new(NewPool::new(ServerAddress::Url(url.into())))
    }

    /// A database with a pool of its own, on the server and database of `options`. Nothing of the
    /// options is changed: derive several databases of a server from the options of one URL.
    ///
    /// ```no_run
    /// use mainstay_database::{Error, postgres::{Database, sqlx::postgres::PgConnectOptions}};
    ///
    /// async fn tenant(server: &PgConnectOptions, name: &str) -> Result<Database, Error> {
    ///     Database::builder_with(server.clone().database(name)).open().await
    /// }
    /// ```
    pub fn builder_with(options: PgConnectOptions) -> Builder<NewPool> {
        Builder::new(NewPool::new(ServerAddress::Options(Box::new(options))))
    }

    /// A database on a pool that exists. Behind a transaction pooler, give that pool a statement
    /// cache of capacity 0.
    pub const fn builder_on(pool: PgPool) -> Builder<PgPool> {
        Builder::new(pool)
    }

    /// Opens a transaction; as [`Transactions::begin`], without the import.
    ///
    /// # Errors
    /// As [`Transactions::begin`].
    pub async fn begin(&self) -> Result<Transaction, Error> {
        self.begin_with(self.begin.clone()).await
    }

    /// Commits; as [`Transactions::commit`], without the import. Takes any transaction of this
    /// driver.
    ///
    /// # Errors
    /// As [`Transactions::commit`].
    pub async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        Transactions::commit(self, transaction).await
    }

    /// Calls `listener` after each commit through this handle or a clone of it; see
    /// [`commits`](crate::commits).
    pub fn on_commit(&self, listener: Weak<dyn CommitListener>) {
        self.listeners.add(listener);
    }

    /// The pool.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether a connection keeps its prepared statements: pass it to `persistent` of every query.
    /// False behind a transaction pooler, where the next transaction runs in another session.
    #[must_use]
    pub const fn keeps_statements(&self) -> bool {
        self.keeps_statements
    }

    /// Opens a transaction with a BEGIN of the caller's, which may have SET LOCAL statements in the
    /// same round trip. None of them may fail or wait. Otherwise the driver does not know of the
    /// transaction, and returns its connection to the pool as it is.
    ///
    /// # Errors
    /// As [`Transactions::begin`]. If the server refuses connections, [`Error::Unavailable`] has the
    /// server's reason. Connections that ended while they were idle are replaced, and are no error.
    ///
    /// # Cancel safety
    /// Cancel safe. `pool().begin()` is not: if it is dropped after BEGIN was sent, the driver does
    /// not know of the transaction. The next statements on that connection run in it and are never
    /// committed.
    pub async fn begin_with(&self, begin: SqlStr) -> Result<Transaction, Error> {
        // In a task of its own it always completes. A transaction that is not returned is rolled
        // back.
        let (pool, forgetting) = (self.pool.clone(), self.forgetting.clone());
        let beginning = tokio::spawn(async move {
            let mut transaction = begin_on_any(&pool, begin).await?;
            if let Some(forgetting) = forgetting {
                let connections = pool.options().get_max_connections();
                forgetting.forget(&mut transaction, connections).await?;
            }
            Ok(transaction)
        });
        let outcome = match beginning.await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => Err(sqlx::Error::PoolClosed),
        };
        match outcome {
            Err(sqlx::Error::PoolTimedOut) => Err(self.why_none_came().await),
            outcome => outcome.map_err(classify),
        }
    }

    /// A pool does not report the server's answers while it waits: ask once, without it.
    async fn why_none_came(&self) -> Error {
        if self.pool.size() < self.pool.options().get_max_connections() {
            let options = self.pool.connect_options();
            let asking = tokio::time::timeout(HEARING, options.connect());
            match asking.await {
                Ok(Err(error)) => return classify(error),
                // The server has a connection again.
                Ok(Ok(connection)) => drop(connection.close().await),
                Err(_no_answer) => {}
            }
        }
        classify(sqlx::Error::PoolTimedOut)
    }

    /// Closes all connections, once their statements have ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Transactions for Database {
    type Connection = PgConnection;
    type Transaction = Transaction;

    async fn begin(&self) -> Result<Transaction, Error> {
        Self::begin(self).await
    }

    async fn commit(&self, mut transaction: Transaction) -> Result<(), Error> {
        // COMMIT of a transaction in which a statement failed rolls back, and PostgreSQL does not
        // call that an error. A caller that ignored the statement's error would believe it
        // committed.
        run("SELECT 1", &mut transaction).await?;
        let committed = transaction.commit().await.map_err(sqlstate::of_commit);
        if let Ok(()) | Err(Error::OutcomeUnknown(_)) = &committed {
            self.listeners.committed();
        }
        committed
    }

    async fn savepoint(&self, connection: &mut PgConnection) -> Result<(), Error> {
        run("SAVEPOINT mainstay", connection).await
    }

    async fn release_savepoint(&self, connection: &mut PgConnection) -> Result<(), Error> {
        run("RELEASE SAVEPOINT mainstay", connection).await
    }

    async fn roll_back_to_savepoint(&self, connection: &mut PgConnection) -> Result<(), Error> {
        run("ROLLBACK TO SAVEPOINT mainstay", connection).await
    }

    fn idle_limit(&self) -> Option<Duration> {
        // For the server, zero means for ever.
        (!self.idle_limit.is_zero()).then_some(self.idle_limit)
    }
}

/// Begins on a live connection. A restart of the server or a proxy may have closed idle connections.
/// Nothing was done on them, so another one is taken, until the time to wait for a connection is over.
async fn begin_on_any(pool: &PgPool, begin: SqlStr) -> Result<Transaction, sqlx::Error> {
    let mut patience = pin!(tokio::time::sleep(pool.options().get_acquire_timeout()));
    let mut is_over = false;
    for _ in 0..pool.num_idle() {
        // A BEGIN that was sent is never dropped.
        let mut beginning = pin!(pool.begin_with(begin.clone()));
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut beginning => break outcome,
                () = &mut patience, if !is_over => is_over = true,
            }
        };
        match outcome {
            Err(error) if !is_over && sqlstate::has_ended(&error) => {
                tracing::debug!(%error, "a connection of the pool had ended");
            }
            outcome => return outcome,
        }
    }
    pool.begin_with(begin).await
}

/// Runs a statement without parameters, unprepared.
async fn run(sql: &'static str, connection: &mut PgConnection) -> Result<(), Error> {
    let ran = sqlx::raw_sql(sql).execute(connection).await;
    ran.map(|_| ()).map_err(classify)
}

/// Renders a statement once; cloning it later is a reference count.
#[must_use]
pub fn statement(namespace: &Namespace, sql: &str) -> SqlStr {
    // Safe: the namespace is checked and everything else is program text.
    AssertSqlSafe(namespace.render(sql)).into_sql_str()
}
