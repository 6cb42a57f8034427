//! Leases in Redis 6.2 or newer: one server, or a primary with replicas.
//!
//! Each lock is one text: its token, the end of its lease and its owner. Each operation takes one round trip, and
//! operations that overlap share one call of a script. The server's clock decides. A token is larger than the last one
//! of the lock, and not below the server's time in microseconds, so tokens grow even after Redis has lost its data. If
//! its clock was set back as well, the guarded resource refuses the new token, and the next one is
//! [above](Claim::above) what the resource has seen.
//!
//! One call renews many locks, so a Redis Cluster is not supported.

mod batches;
mod script;

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{RedisError, RedisResult, RetryMethod, Value};
use async_trait::async_trait;
use mainstay_database::Namespace;

use crate::{
    Error, FencingToken,
    store::{Acquired, Claim, Holding, LeaseStore},
};
use batches::{Batches, Operation, Wish};
use script::{Call, Script};

pub use ::redis::{self as driver, Client, aio::ConnectionManager};

/// How long the token of a lock that nobody holds is kept. After that, the server's time is above it.
const KEPT: Duration = Duration::from_secs(3600);

/// Leases in Redis. Clones share the connection.
#[derive(Clone)]
pub struct RedisLeases {
    inner: Arc<Inner>,
}

struct Inner {
    connection: ConnectionManager,
    /// What the keys of locks begin with.
    prefix: String,
    operations: Batches,
    renew: Script,
}

/// Opens [`RedisLeases`].
#[derive(Clone)]
#[must_use = "call open() to open the leases"]
pub struct Builder {
    connection: ConnectionManager,
    namespace: Namespace,
}

impl RedisLeases {
    /// Starts to open the leases over a connection that exists.
    ///
    /// ```no_run
    /// use mainstay_dlock::{Locks, RedisLeases, redis};
    ///
    /// # async fn example(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let redis = redis::Client::open(url)?.get_connection_manager().await?;
    /// let locks = Locks::new(RedisLeases::builder(redis).open().await?);
    /// # drop(locks);
    /// # Ok(()) }
    /// ```
    pub fn builder(connection: ConnectionManager) -> Builder {
        Builder {
            connection,
            namespace: Namespace::plain(),
        }
    }
}

impl Builder {
    /// What the keys begin with; default: `dlock:`. A prefix `shop_` makes it `shop_dlock:`.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Opens the leases. Operations that overlap are sent by this runtime; keep it running for as long as they are used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Evicts`] if Redis is set to remove keys when its memory is full. [`Error::Unavailable`] if it cannot
    /// be reached, [`Error::Refused`] if the user may not call `INFO`, `SCRIPT LOAD` or `EVALSHA`.
    pub async fn open(self) -> Result<RedisLeases, Error> {
        let mut connection = self.connection;
        let info: String = ::redis::cmd("INFO")
            .arg("memory")
            .query_async(&mut connection)
            .await
            .map_err(classify)?;
        refuse_eviction(&info)?;
        let operate = Script::load(&mut connection, include_str!("redis/operate.lua")).await?;
        let inner = Inner {
            prefix: self.namespace.render("{prefix}dlock:").to_string(),
            renew: Script::load(&mut connection, include_str!("redis/renew.lua")).await?,
            operations: Batches::new(connection.clone(), operate),
            connection,
        };
        Ok(RedisLeases {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    fn key(&self, name: &str) -> String {
        [&self.prefix, name].concat()
    }

    fn renewal(&self, held: &[Holding<'_>], lease: Duration) -> Call {
        let mut call = self.renew.call(held.iter().map(|held| self.key(held.name)));
        call.arg(micros(lease)).arg(kept(lease));
        for holding in held {
            call.arg(holding.owner);
        }
        call
    }

    async fn run(&self, holding: Holding<'_>, wish: Wish) -> Result<i64, Error> {
        let operation = Operation {
            key: self.key(holding.name),
            owner: holding.owner.to_owned(),
            wish,
        };
        self.operations.run(operation).await
    }
}

/// What the script answered for each lock.
///
/// An error of some ends their leases, while others are renewed: the key holds something else, or the user may not
/// touch it. Any other error is one of the server, and a later renewal may come in time.
fn are_renewed(held: &[Holding<'_>], answers: Vec<Value>) -> Result<Vec<bool>, Error> {
    if answers.len() != held.len() {
        return Err(classify(unreadable()));
    }
    let works = answers.contains(&Value::Int(1));
    let is_renewed = |(holding, answer): (&Holding<'_>, Value)| match answer {
        Value::Int(renewed) => Ok(renewed == 1),
        Value::ServerError(error) => {
            let error = RedisError::from(error);
            if works && matches!(error.code(), Some("NOPERM" | "WRONGTYPE")) {
                let lock = holding.name;
                tracing::warn!(lock, %error, "the store refused to renew this lease");
                return Ok(false);
            }
            Err(classify(error))
        }
        _ => Err(classify(unreadable())),
    };
    held.iter().zip(answers).map(is_renewed).collect()
}

/// The answer to a call of one operation.
fn only(answer: Value) -> RedisResult<Value> {
    match answer {
        Value::Array(mut answers) => answers.pop().ok_or_else(unreadable),
        answer => Ok(answer),
    }
}

fn unreadable() -> RedisError {
    let kind = ::redis::ErrorKind::UnexpectedReturnType;
    (kind, "the script's answer is not one number each").into()
}

/// A lease that is evicted is a lock that two owners have.
fn refuse_eviction(info: &str) -> Result<(), Error> {
    let mut lines = info.lines();
    let policy = lines.find_map(|line| line.strip_prefix("maxmemory_policy:"));
    match policy.map(str::trim) {
        Some("noeviction") => Ok(()),
        Some(policy) => Err(Error::Evicts {
            policy: policy.to_owned(),
        }),
        None => Err(Error::Refused(
            "its INFO does not tell the maxmemory-policy".into(),
        )),
    }
}

#[async_trait]
impl LeaseStore for RedisLeases {
    async fn acquire(&self, claim: Claim<'_>) -> Result<Acquired, Error> {
        let wish = Wish::Acquire {
            lease: micros(claim.lease),
            above: claim.above.as_i64(),
            kept: kept(claim.lease),
        };
        let answer = self.inner.run(claim.holding, wish).await?;
        Ok(match u64::try_from(answer) {
            Ok(_) => Acquired::Granted(FencingToken::new(answer)),
            Err(_) => Acquired::Held {
                remaining: Duration::from_micros(answer.unsigned_abs()),
            },
        })
    }

    async fn renew(&self, held: &[Holding<'_>], lease: Duration) -> Result<Vec<bool>, Error> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let connection = &self.inner.connection;
        let together = self.inner.renewal(held, lease).send(connection).await;
        let answers = match together {
            Ok(Value::Array(answers)) => Ok(answers),
            Ok(_) => Err(unreadable()),
            // One of them may be to blame, such as a name that the user may not touch.
            Err(error) if held.len() > 1 && is_refused(&error) => {
                let calls = held.chunks(1).map(|one| self.inner.renewal(one, lease));
                let answers = self.inner.renew.send_each(calls, connection).await;
                let only = |answers: Vec<_>| answers.into_iter().map(only).collect();
                answers.and_then(only)
            }
            Err(error) => Err(error),
        };
        are_renewed(held, answers.map_err(classify)?)
    }

    async fn release(&self, held: Holding<'_>) -> Result<(), Error> {
        self.inner.run(held, Wish::Release).await?;
        Ok(())
    }
}

/// Microseconds, as scripts add them to the time. A hundred years leave room below 2⁵³, to which scripts count.
fn micros(lease: Duration) -> u64 {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    u64::try_from(lease.min(LONGEST).as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds that a key is kept.
fn kept(lease: Duration) -> u64 {
    micros(lease.saturating_add(KEPT)) / 1_000
}

fn is_refused(error: &RedisError) -> bool {
    matches!(classify(error.clone()), Error::Refused(_))
}

/// Sorts an error by what the caller can do about it.
fn classify(error: RedisError) -> Error {
    // Out of memory, read-only, loading, and a script of others that runs for long heal as an outage does.
    let heals = error.is_io_error()
        || error.is_timeout()
        || !matches!(error.retry_method(), RetryMethod::NoRetry)
        || matches!(
            error.code(),
            Some("OOM" | "READONLY" | "MISCONF" | "NOREPLICAS" | "BUSY" | "NOSCRIPT")
        );
    if heals {
        return Error::Unavailable(error.into());
    }
    Error::Refused(error.into())
}

impl fmt::Debug for RedisLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLeases")
            .field("prefix", &self.inner.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
