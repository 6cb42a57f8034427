//! How a database is reached and used.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgPool, Row as _, SqlSafeStr,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Database, classify, stale::Forgetting};
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

    /// How long a statement waits for a lock, in transactions that this handle opens; default 5 s. As
    /// for the server, zero means for ever, and 24 days are the most.
    pub const fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long such a transaction may be idle before the server ends it; default 60 s. A suspended
    /// process must not hold its locks for ever. Choose more than the longest handler deadline. As for
    /// the server, zero means for ever, and 24 days are the most.
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
            idle_limit: Duration::from_millis(millis(self.idle_in_transaction_timeout)),
            listeners: Arc::default(),
            forgetting: None,
        }
    }
}

impl Builder<PgPool> {
    /// The database on the given pool.
    #[must_use]
    pub fn build(self) -> Database {
        Database {
            forgetting: Some(Arc::default()),
            ..self.over(self.pool.clone())
        }
    }
}

impl Builder<NewPool> {
    /// Connections at most; default 10. At least 1, and at most the 262,143 of a server.
    pub const fn max_connections(mut self, count: u32) -> Self {
        self.pool.max_connections = count;
        self
    }

    /// How long to wait for a connection, or for the server; default 10 s. At least 1 ms: no login
    /// takes less.
    pub const fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.pool.acquire_timeout = timeout;
        self
    }

    /// Connects, and checks the server.
    ///
    /// # Errors
    /// [`Error::CannotOpen`] names the server, never the password: wrong credentials, no such
    /// database, a server older than 14, a setting outside its limits. [`Error::Unavailable`]: the
    /// server does not answer, or takes no more connections.
    pub async fn open(self) -> Result<Database, Error> {
        let mut connect = match &self.pool.server {
            ServerAddress::Url(url) => parse(url)?,
            ServerAddress::Options(options) => options.as_ref().clone(),
        };
        if self.transaction_pooler {
            connect = connect.statement_cache_capacity(0);
        }
        let connections = self.pool.max_connections;
        let patience = self.pool.patience(&connect)?;
        tokio::time::timeout(patience, check(&connect))
            .await
            .unwrap_or_else(|_| Err(no_answer(patience)))?;
        let forgetting = Arc::new(Forgetting::default());
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(patience)
            // A ping costs a round trip: a connection that was used a moment ago is assumed to
            // live.
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let forgetting = Arc::clone(&forgetting);
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) {
                        connection.ping().await?;
                    }
                    forgetting.forget(connection, connections).await?;
                    Ok(true)
                })
            })
            .connect_lazy_with(connect);
        Ok(self.over(pool))
    }
}

impl NewPool {
    /// How long to wait for a connection, once the limits of all settings are checked.
    fn patience(&self, connect: &PgConnectOptions) -> Result<Duration, Error> {
        /// No clock of ours reaches beyond: for ever.
        const LONGEST: Duration = Duration::from_secs(1 << 32);
        let refused = |why: String| Error::CannotOpen {
            what: name(connect),
            source: why.into(),
        };
        let (connections, timeout) = (self.max_connections, self.acquire_timeout);
        if !(1..=MOST_CONNECTIONS).contains(&connections) {
            return Err(refused(format!(
                "max_connections is {connections}: choose 1 to {MOST_CONNECTIONS}"
            )));
        }
        if timeout < Duration::from_millis(1) {
            return Err(refused(format!(
                "acquire_timeout is {timeout:?}, and no login takes less than 1 ms: choose more"
            )));
        }
        Ok(timeout.min(LONGEST))
    }
}

/// The most that a server can be configured for.
const MOST_CONNECTIONS: u32 = 262_143;

fn no_answer(patience: Duration) -> Error {
    let text = format!("the server did not answer within {patience:?}");
    let error = std::io::Error::new(std::io::ErrorKind::TimedOut, text);
    classify(sqlx::Error::Io(error))
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
fn millis(duration: Duration) -> u64 {
    const LONGEST: u64 = i32::MAX as u64;
    if duration.is_zero() {
        return 0;
    }
    let millis = u64::try_from(duration.as_millis()).unwrap_or(LONGEST);
    millis.clamp(1, LONGEST)
}

fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    let invalid = |source| Error::CannotOpen {
        // The text itself may hold a password.
        what: "at the given URL".to_owned(),
        source,
    };
    let Some((_, rest)) = url
        .split_once("://")
        .filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme))
    else {
        return Err(invalid("a PostgreSQL URL begins with postgres://".into()));
    };
    if is_cut_short(rest) {
        let advice = "a character of the user or password ends it too soon: write / as %2F, # as %23, ? as %3F, \
                      : as %3A, @ as %40 and % as %25";
        return Err(invalid(advice.into()));
    }
    PgConnectOptions::from_str(url).map_err(|error| invalid(error.into()))
}

/// Whether credentials hold a character that begins another part of a URL. What stands before it
/// would be taken for a server, and reported with a part of the password.
fn is_cut_short(rest: &str) -> bool {
    let (authority, other) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // A parameter may hold any character.
    let names = other.split('=').next().unwrap_or_default();
    other.contains('#') || (!authority.contains('@') && names.contains('@'))
}

/// A server and database without credentials, for errors.
fn name(connect: &PgConnectOptions) -> String {
    format!(
        "{} at {}:{} for {}",
        connect.get_database().unwrap_or(connect.get_username()),
        connect.get_host(),
        connect.get_port(),
        connect.get_username(),
    )
}

/// Opens one connection, to report at once what is wrong: a pool would retry until its time is up.
async fn check(connect: &PgConnectOptions) -> Result<(), Error> {
    let what = name(connect);
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
