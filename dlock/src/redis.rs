//! Leases in Redis 6.2 or newer: one server, or a primary with replicas.
//!
//! Each lock is one text: its token, the end of its lease and its owner. Each operation takes one round trip, and
//! operations that overlap share one call of a script. The server's clock decides. A token is larger than the last one of the lock, and not below the server's time in
//! microseconds, so tokens grow even after Redis has lost its data. If its clock was set back as well, the guarded
//! resource refuses the new token, and the next one is [above](Claim::above) what the resource has seen.
//!
//! One call renews many locks, so a Redis Cluster is not supported.

mod batches;
mod script;

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{RedisError, RetryMethod, from_redis_value};
use async_trait::async_trait;
use mainstay_database::Namespace;

use crate::{
    Error, FencingToken,
    store::{Acquired, Claim, Holding, LeaseStore},
};
use batches::{Batches, Operation, Wish};
use script::Script;

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

    /// Opens the leases.
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

    async fn run(&self, holding: Holding<'_>, wish: Wish) -> Result<i64, Error> {
        let operation = Operation {
            key: self.key(holding.name),
            owner: holding.owner.to_owned(),
            wish,
        };
        self.operations.run(operation).await
    }
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
        let keys = held.iter().map(|held| self.inner.key(held.name));
        let mut call = self.inner.renew.call(keys);
        call.arg(micros(lease)).arg(kept(lease));
        for holding in held {
            call.arg(holding.owner);
        }
        let renewed = call.send(&self.inner.connection).await;
        let renewed = renewed.and_then(|renewed| Ok(from_redis_value(renewed)?));
        renewed.map_err(classify)
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

/// Sorts an error by what the caller can do about it.
fn classify(error: RedisError) -> Error {
    // Out of memory, read-only and loading heal as an outage does.
    let heals = error.is_io_error()
        || error.is_timeout()
        || !matches!(error.retry_method(), RetryMethod::NoRetry)
        || matches!(
            error.code(),
            Some("OOM" | "READONLY" | "MISCONF" | "NOREPLICAS")
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
