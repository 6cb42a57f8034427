//! How a database is reached and used.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool, Row as _, SqlSafeStr,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Database, classify};
use crate::Error;

/// The oldest supported server: 14 brought multiranges.
const OLDEST: i32 = 14;

/// Settings of a [`Database`]; from [`Database::builder`] or, on an existing pool,
/// [`Database::builder_on`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it is opened or built"]
pub struct Builder<Pool> {
    pool: Pool,
    lock_timeout: Duration,
    idle_in_transaction_timeout: Duration,
    transaction_pooler: bool,
}

/// A pool that [`Builder::open`] makes.
#[derive(Clone)]
pub struct NewPool {
    server: ServerAddress,
    max_connections: u32,
    acquire_timeout: Duration,
}

/// Where and as whom to connect.
#[derive(Clone)]
pub(super) enum ServerAddress {
    Url(String),
    Options(Box<PgConnectOptions>),
}

impl NewPool {
    pub(super) const fn new(server: ServerAddress) -> Self {
        Self {
            server,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
        }
    }
}

impl<Pool> Builder<Pool> {
    pub(super) const fn new(pool: Pool) -> Self {
        Self {
            pool,
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(60),
            transaction_pooler: false,
        }
    }

    /// How long a statement waits for a lock, in transactions that this handle opens; default 5 s.
    pub const fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long such a transaction may lie idle before the server ends it; default 60 s. A stopped
    /// process must not hold its locks for ever. Choose more than the longest handler deadline.
    pub const fn idle_in_transaction_timeout(mut self, timeout: Duration) -> Self {
        self.idle_in_transaction_timeout = timeout;
        self
    }

    /// Whether a pooler in transaction mode (`PgBouncer`) stands between pool and server; default
    /// no. If so, no prepared statement outlives its transaction.
    pub const fn transaction_pooler(mut self, stands_between: bool) -> Self {
        self.transaction_pooler = stands_between;
        self
    }

    fn over(&self, pool: PgPool) -> Database {
        // SET LOCAL passes every pooler, and shares the round trip of BEGIN.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}",
            millis(self.lock_timeout),
            millis(self.idle_in_transaction_timeout),
        );
        Database {
            pool,
            // Safe: program text and two numbers.
            begin: AssertSqlSafe(begin).into_sql_str(),
            keeps_statements: !self.transaction_pooler,
            idle_limit: self.idle_in_transaction_timeout,
            listeners: Arc::default(),
        }
    }
}

impl Builder<PgPool> {
    /// The database on the given pool.
    #[must_use]
    pub fn build(self) -> Database {
        self.over(self.pool.clone())
    }
}

impl Builder<NewPool> {
    /// Connections at most; default 10.
    pub const fn max_connections(mut self, count: u32) -> Self {
        self.pool.max_connections = count;
        self
    }

    /// How long to wait for a connection, or for the server; default 10 s.
    pub const fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.pool.acquire_timeout = timeout;
        self
    }

    /// Connects, and checks the server.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the server, never the password: wrong credentials, no such
    /// database, a server older than
    /// 14. [`Error::Unavailable`]: the server does not answer, or takes no more connections.
    pub async fn open(self) -> Result<Database, Error> {
        let mut connect = match &self.pool.server {
            ServerAddress::Url(url) => parse(url)?,
            ServerAddress::Options(options) => options.as_ref().clone(),
        };
        if self.transaction_pooler {
            connect = connect.statement_cache_capacity(0);
        }
        check(&connect).await?;
        let pool = PgPoolOptions::new()
            .max_connections(self.pool.max_connections)
            .acquire_timeout(self.pool.acquire_timeout)
            // A ping costs a round trip: a connection that was used a moment ago is assumed to
            // live.
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
        Ok(self.over(pool))
    }
}

/// Without the URL, which may hold a password.
impl<Pool> fmt::Debug for Builder<Pool> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("lock_timeout", &self.lock_timeout)
            .field(
                "idle_in_transaction_timeout",
                &self.idle_in_transaction_timeout,
            )
            .field("transaction_pooler", &self.transaction_pooler)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NewPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPool")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish_non_exhaustive()
    }
}

/// A duration as the server's settings take it: at most 24 days, and zero means for ever.
fn millis(duration: Duration) -> u128 {
    const LONGEST: u128 = i32::MAX as u128;
    if duration.is_zero() {
        return 0;
    }
    duration.as_millis().clamp(1, LONGEST)
}

fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    let invalid = |source| Error::CannotOpen {
        // The text itself may hold a password.
        what: "at the given URL".to_owned(),
        source,
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(invalid("a PostgreSQL URL begins with postgres://".into()));
    }
    PgConnectOptions::from_str(url).map_err(|error| invalid(error.into()))
}

/// Opens one connection, to report at once what is wrong: a pool would retry until its time is up.
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
    // A simple query: a transaction pooler may send the two halves of a prepared one to two
    // servers.
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
