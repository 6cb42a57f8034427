//! PostgreSQL 14 or newer: one server, a pool of connections, transactions at READ COMMITTED.

mod migrate;
mod sqlstate;

use std::{panic, str::FromStr, time::Duration};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Row as _,
    SqlSafeStr, SqlStr,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{Error, Namespace, Transactions};

pub use sqlstate::classify;
pub use sqlx;

/// An open transaction; derefs to [`PgConnection`], rolls back on drop.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

/// The oldest server that is spoken to: 14 brought the multiranges.
const OLDEST: i32 = 14;

/// How long a server may take to say why it gives no connection.
const HEARING: Duration = Duration::from_secs(2);

/// A database on a PostgreSQL server. Clones share its pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    begin: SqlStr,
    keeps_statements: bool,
    idle_limit: Duration,
}

/// How a server is reached and used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Connections at most; default 10.
    pub max_connections: u32,
    /// How long to wait for one of them, or for the server; default 10 s.
    pub acquire_timeout: Duration,
    /// How long a statement of [`Transactions::begin`]'s transactions waits for a lock; default 5 s.
    pub lock_timeout: Duration,
    /// How long such a transaction may lie idle before the server ends it: a process that was stopped must not hold its
    /// locks for ever. Above every handler's deadline; default 60 s.
    pub idle_in_transaction_timeout: Duration,
    /// Whether a pooler in transaction mode (`PgBouncer`) stands in between: no prepared statement outlives a transaction
    /// then.
    pub behind_transaction_pooler: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(60),
            behind_transaction_pooler: false,
        }
    }
}

impl Database {
    /// Connects to the server at `url`, `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the server, never the password: wrong credentials, no such database, a server older than
    /// 14. [`Error::Unavailable`]: nobody answers, or the server takes no more connections.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(url, Options::default()).await
    }

    /// Connects with options of one's own.
    ///
    /// # Errors
    /// See [`connect`](Self::connect).
    pub async fn connect_with(url: &str, options: Options) -> Result<Self, Error> {
        let mut connect = parse(url)?;
        if options.behind_transaction_pooler {
            connect = connect.statement_cache_capacity(0);
        }
        check(&connect).await?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            // A connection that was used a moment ago is taken to live: asking costs a round trip each time.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(connect);
        Ok(Self::over(pool, &options))
    }

    /// Uses a pool that exists. Of `options` those about connections have no effect then; behind a transaction pooler the
    /// pool itself needs a statement cache of capacity 0.
    #[must_use]
    pub fn over(pool: PgPool, options: &Options) -> Self {
        // SET LOCAL goes through every pooler, and with BEGIN in one round trip.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}",
            millis(options.lock_timeout),
            millis(options.idle_in_transaction_timeout),
        );
        Self {
            pool,
            // Safe: program text and two numbers.
            begin: AssertSqlSafe(begin).into_sql_str(),
            keeps_statements: !options.behind_transaction_pooler,
            idle_limit: options.idle_in_transaction_timeout,
        }
    }

    /// The pool.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether a connection keeps its prepared statements: `persistent` of every query. Not behind a transaction pooler, where
    /// the next transaction runs in another session.
    #[must_use]
    pub const fn keeps_statements(&self) -> bool {
        self.keeps_statements
    }

    /// Opens a transaction with a BEGIN of one's own, which may set what it needs in the same round trip. Nothing in it may
    /// fail or wait: the driver takes a transaction whose beginning failed for none, and its connection goes back as it is.
    ///
    /// # Errors
    /// As [`Transactions::begin`]. Where a connection could not be had in time because the server gives none,
    /// [`Error::Unavailable`] says what the server said.
    ///
    /// # Cancel safety
    /// Cancel safe. `pool().begin()` is not: of a BEGIN that was sent and not waited for the driver keeps no account, and what
    /// comes next on that connection runs in a transaction that nobody commits.
    pub async fn begin_with(&self, begin: SqlStr) -> Result<Transaction, Error> {
        // In a task of its own it goes on to its end, and a transaction that nobody takes is rolled back.
        let pool = self.pool.clone();
        let beginning = tokio::spawn(async move { pool.begin_with(begin).await });
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

    /// While it waits, a pool keeps to itself what the server answers.
    async fn why_none_came(&self) -> Error {
        if self.pool.size() < self.pool.options().get_max_connections() {
            let options = self.pool.connect_options();
            let asking = tokio::time::timeout(HEARING, options.connect());
            match asking.await {
                Ok(Err(error)) => return classify(error),
                // It would give one now.
                Ok(Ok(connection)) => drop(connection.close().await),
                Err(_no_answer) => {}
            }
        }
        classify(sqlx::Error::PoolTimedOut)
    }

    /// Closes all connections, after what runs on them has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A duration as the server's settings have it: it refuses more than 24 days, and zero is for ever.
fn millis(duration: Duration) -> u128 {
    const LONGEST: u128 = i32::MAX as u128;
    if duration.is_zero() {
        return 0;
    }
    duration.as_millis().clamp(1, LONGEST)
}

fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    let invalid = |source| Error::CannotOpen {
        // Whatever this is, it may hold a password.
        what: "at the given URL".to_owned(),
        source,
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(invalid("a PostgreSQL URL begins with postgres://".into()));
    }
    PgConnectOptions::from_str(url).map_err(|error| invalid(error.into()))
}

/// One connection, to tell what is wrong while somebody looks. A pool would try again until its time is up.
async fn check(connect: &PgConnectOptions) -> Result<(), Error> {
    let what = format!(
        "{} at {}:{} for {}",
        connect.get_database().unwrap_or(connect.get_username()),
        connect.get_host(),
        connect.get_port(),
        connect.get_username(),
    );
    let cannot_open = |error| match classify(error) {
        Error::Failed(source) => Error::CannotOpen {
            what: what.clone(),
            source,
        },
        error => error,
    };
    let mut connection = connect.connect().await.map_err(cannot_open)?;
    // A simple query: a transaction pooler may send the two halves of a prepared one to two servers.
    let version: String = sqlx::raw_sql("SHOW server_version_num")
        .fetch_one(&mut connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(cannot_open)?;
    let version: i32 = version.parse().unwrap_or(0) / 10_000;
    connection.close().await.map_err(cannot_open)?;
    if version < OLDEST {
        return Err(Error::CannotOpen {
            what,
            source: format!(
                "the server is PostgreSQL {version}, and {OLDEST} or newer is needed: upgrade it, or connect to another one"
            )
            .into(),
        });
    }
    Ok(())
}

#[async_trait]
impl Transactions for Database {
    type Connection = PgConnection;
    type Transaction = Transaction;

    async fn begin(&self) -> Result<Transaction, Error> {
        self.begin_with(self.begin.clone()).await
    }

    async fn commit(&self, mut transaction: Transaction) -> Result<(), Error> {
        // COMMIT of a transaction in which a statement failed rolls back, and PostgreSQL does not call that an error.
        // Whoever swallowed the statement's error would take it for a commit.
        sqlx::raw_sql("SELECT 1")
            .execute(&mut *transaction)
            .await
            .map_err(classify)?;
        transaction.commit().await.map_err(sqlstate::of_commit)
    }

    fn idle_limit(&self) -> Option<Duration> {
        // To the server zero means for ever.
        (!self.idle_limit.is_zero()).then_some(self.idle_limit)
    }
}

/// Renders a statement once; cloning it later is a reference count.
#[must_use]
pub fn statement(namespace: &Namespace, sql: &str) -> SqlStr {
    // Safe: the namespace is checked and everything else is program text.
    AssertSqlSafe(namespace.render(sql)).into_sql_str()
}
