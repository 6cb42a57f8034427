//! Leases in Redis 6.2 or newer.
//!
//! Everything about a key is in one hash, so each call is one script on one key, on a cluster as well.
//! Only the server's clock counts. Redis loses what it has not written to disk or to a replica; a
//! key that is lost is as one that was never used, and its effect is asked for again.

mod failures;

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{RedisError, Script, ScriptInvocation};
use async_trait::async_trait;
use mainstay_clock::{IdGenerator, SystemIds};
use mainstay_database::Namespace;

use crate::{
    Answer, Begun, Error, FencingToken, Key, KeyedRequest, Lease, Leases, Settled, answer::headers,
    lifetime::LIFETIME,
};
use failures::classify;

pub use ::redis::{self as driver, Client, aio::ConnectionManager};

/// The only `maxmemory-policy` under which Redis forgets nothing on its own.
const KEEPS_ALL: &str = "noeviction";

/// Leases in Redis. Clones share the connection.
#[derive(Clone)]
pub struct RedisLeases {
    connection: ConnectionManager,
    ids: Arc<dyn IdGenerator>,
    prefix: Arc<str>,
    lifetime: Duration,
    scripts: Arc<Scripts>,
}

struct Scripts {
    begin: Script,
    renew: Script,
    complete: Script,
    release: Script,
}

/// Configures [`RedisLeases`].
#[derive(Clone)]
#[must_use = "call open() to open the leases"]
pub struct RedisLeasesBuilder {
    connection: ConnectionManager,
    ids: Arc<dyn IdGenerator>,
    namespace: Namespace,
    lifetime: Duration,
}

impl RedisLeases {
    /// Configures leases over a connection of the service; `open` them then. Its response timeout
    /// should be well below a third of the lease.
    pub fn builder(connection: ConnectionManager) -> RedisLeasesBuilder {
        RedisLeasesBuilder {
            connection,
            ids: Arc::new(SystemIds::new()),
            namespace: Namespace::plain(),
            lifetime: LIFETIME,
        }
    }
}

impl RedisLeasesBuilder {
    /// What the names of keys begin with; default: `idempotency:`. A prefix `shop_` makes it
    /// `shop_idempotency:`. Services that share a server need prefixes of their own.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// How long an answer is kept and given again; default 24 h.
    pub const fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// What names a call, so that it can be repeated; default: the system's.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Arc::new(ids);
        self
    }

    /// Checks the server and loads the scripts.
    ///
    /// # Errors
    /// [`Error::Evicting`] unless `maxmemory-policy` is `noeviction`: every other policy forgets
    /// keys, and with them that a request was processed. [`Error::Unavailable`],
    /// [`Error::Refused`].
    pub async fn open(self) -> Result<RedisLeases, Error> {
        let Self {
            mut connection,
            ids,
            namespace,
            lifetime,
        } = self;
        // Managed servers forbid CONFIG.
        let info: String = driver::cmd("INFO")
            .arg("memory")
            .query_async(&mut connection)
            .await
            .map_err(classify)?;
        let policy = info
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"));
        let policy = policy.unwrap_or("unknown").trim();
        if policy != KEEPS_ALL {
            return Err(Error::Evicting {
                policy: policy.to_owned(),
            });
        }
        let scripts = Scripts {
            begin: Script::new(include_str!("redis/begin.lua")),
            renew: Script::new(include_str!("redis/renew.lua")),
            complete: Script::new(include_str!("redis/complete.lua")),
            release: Script::new(include_str!("redis/release.lua")),
        };
        // Later calls load what a restart or a flush has forgotten.
        for script in [
            &scripts.begin,
            &scripts.renew,
            &scripts.complete,
            &scripts.release,
        ] {
            let loaded = script.load_async(&mut connection).await;
            loaded.map_err(classify)?;
        }
        Ok(RedisLeases {
            connection,
            ids,
            prefix: namespace.render("{prefix}idempotency:"),
            lifetime,
            scripts: Arc::new(scripts),
        })
    }
}

impl RedisLeases {
    /// The name of a key. Lengths keep tenant, operation and key apart, whatever they contain.
    fn name(&self, key: &Key) -> String {
        let (tenant, operation) = (key.scope().tenant(), key.scope().operation());
        format!(
            "{}{}:{tenant}:{}:{operation}:{}",
            self.prefix,
            tenant.len(),
            operation.len(),
            key.text()
        )
    }

    /// How long the server keeps a key that was touched now; one under a lease at least until then.
    fn kept(&self, lease: Duration) -> u64 {
        millis(self.lifetime.max(lease))
    }

    async fn ask(&self, call: &ScriptInvocation<'_>) -> Result<Answered, RedisError> {
        let mut connection = self.connection.clone();
        call.invoke_async(&mut connection).await
    }

    /// Runs a script that answers whether the lease is the key's newest one.
    async fn under(&self, lease: &Lease, call: &ScriptInvocation<'_>) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let is_done: bool = call.invoke_async(&mut connection).await.map_err(classify)?;
        if is_done {
            return Ok(());
        }
        Err(Error::Fenced {
            key: lease.request().key.clone(),
        })
    }
}

#[async_trait]
impl Leases for RedisLeases {
    async fn begin(&self, request: &KeyedRequest, time: Duration) -> Result<Begun<Lease>, Error> {
        let mut call = self.scripts.begin.key(self.name(&request.key));
        call.arg(request.fingerprint.as_bytes())
            .arg(self.ids.random())
            .arg(millis(time))
            .arg(self.kept(time));
        let answered = match self.ask(&call).await {
            // Whether the call arrived is unknown; it carries its caller's name, so it can be
            // repeated.
            Err(error) if error.is_connection_dropped() => self.ask(&call).await,
            answered => answered,
        };
        understand(request, answered.map_err(classify)?)
    }

    async fn renew(&self, lease: &Lease, time: Duration) -> Result<(), Error> {
        let mut call = self.scripts.renew.key(self.name(&lease.request().key));
        call.arg(lease.token().get())
            .arg(millis(time))
            .arg(self.kept(time));
        self.under(lease, &call).await
    }

    async fn complete(&self, lease: &Lease, answer: &Answer) -> Result<(), Error> {
        let mut call = self.scripts.complete.key(self.name(&lease.request().key));
        call.arg(lease.token().get())
            .arg(millis(self.lifetime))
            .arg(answer.status())
            .arg(headers::encode(answer));
        if let Some(body) = answer.body() {
            call.arg(&**body);
        }
        self.under(lease, &call).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let mut call = self.scripts.release.key(self.name(&lease.request().key));
        call.arg(lease.token().get());
        self.under(lease, &call).await
    }
}

/// What there is, a number, and status, headers and body of the answer.
type Answered = (
    String,
    Option<u64>,
    Option<u16>,
    Option<String>,
    Option<Vec<u8>>,
);

fn understand(request: &KeyedRequest, answered: Answered) -> Result<Begun<Lease>, Error> {
    let (what, number, status, headers, body) = answered;
    Ok(match (&*what, number, status, headers) {
        ("fresh", Some(token), ..) => {
            Begun::Fresh(Lease::new(request.clone(), FencingToken::new(token)))
        }
        ("running", Some(left), ..) => Begun::Settled(Settled::Running {
            retry_after: Duration::from_millis(left),
        }),
        ("mismatch", ..) => Begun::Settled(Settled::Mismatch),
        ("done", _, Some(status), Some(headers)) => {
            let read = headers::decode(status, &headers, body);
            let read = read.map_err(|source| unreadable(request, source.into()))?;
            Begun::Settled(Settled::Done(read))
        }
        _ => return Err(unreadable(request, format!("it says {what:?}").into())),
    })
}

fn unreadable(request: &KeyedRequest, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let key = request.key.clone();
    Error::Unreadable { key, source }
}

/// At least one, since zero deletes; at most a century, which is for ever.
fn millis(time: Duration) -> u64 {
    const CENTURY: u64 = 100 * 366 * 24 * 3600 * 1000;
    u64::try_from(time.as_millis()).map_or(CENTURY, |millis| millis.clamp(1, CENTURY))
}

impl fmt::Debug for RedisLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLeases")
            .field("prefix", &self.prefix)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisLeasesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLeasesBuilder")
            .field("namespace", &self.namespace)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
