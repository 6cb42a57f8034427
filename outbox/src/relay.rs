//! The relay: publishes what was committed, in order, and forgets it once it is acknowledged.

mod session;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mainstay_clock::{Backoff, Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_messaging::Publisher;
use tokio_util::sync::CancellationToken;

use crate::{Error, Limit, RelayStore, Status};
use session::Session;

/// Publishes the rows of an outbox store through a publisher.
///
/// Run any number of them on one store, in any number of processes: shards are divided among those alive.
///
/// ```no_run
/// # use std::{sync::Arc, time::Duration};
/// # use mainstay_outbox::{Relay, RelayStore};
/// # use mainstay_messaging::Publisher;
/// # async fn example(store: Arc<dyn RelayStore>, publisher: Arc<dyn Publisher>) -> Result<(), mainstay_outbox::Error> {
/// # let shutdown = tokio_util::sync::CancellationToken::new();
/// let relay = Relay::new(store, publisher).lease(Duration::from_secs(5));
/// relay.run(shutdown).await?;
/// # Ok(()) }
/// ```
pub struct Relay<S: ?Sized, P: ?Sized> {
    store: Arc<S>,
    publisher: Arc<P>,
    settings: Settings,
    status: Mutex<Status>,
}

#[derive(Clone, Debug)]
struct Settings {
    lease: Duration,
    send_timeout: Duration,
    poll_interval: Duration,
    limit: Limit,
    outage: Backoff,
    refusal: Backoff,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl<S: RelayStore + ?Sized, P: Publisher + ?Sized> Relay<S, P> {
    /// A relay with the default settings.
    #[must_use]
    pub fn new(store: Arc<S>, publisher: Arc<P>) -> Self {
        Self {
            store,
            publisher,
            settings: Settings {
                lease: Duration::from_secs(10),
                send_timeout: Duration::from_secs(30),
                poll_interval: Duration::from_millis(500),
                limit: Limit {
                    messages: 1_000,
                    bytes: 8 * 1024 * 1024,
                },
                outage: Backoff::new(Duration::from_millis(50), Duration::from_secs(5)),
                refusal: Backoff::new(Duration::from_secs(1), Duration::from_secs(300)),
                clock: Arc::new(SystemClock::new()),
                ids: Arc::new(SystemIds::new()),
            },
            status: Mutex::new(Status::new()),
        }
    }

    /// How long a relay that stopped answering keeps its shards; default 10 s. Renewed at a third.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long one send may take, default 30 s; the end of the lease cuts it shorter.
    #[must_use]
    pub const fn send_timeout(mut self, timeout: Duration) -> Self {
        self.settings.send_timeout = timeout;
        self
    }

    /// How often to look without being rung, default 500 ms: what finds rows of other processes.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// Messages and bytes sent at once; default 1,000 and 8 MiB. At least one message is sent, whatever its size.
    #[must_use]
    pub const fn batch(mut self, messages: u32, bytes: usize) -> Self {
        self.settings.limit = Limit { messages, bytes };
        self
    }

    /// How long to wait when the broker or the database does not answer; default 50 ms up to 5 s.
    #[must_use]
    pub const fn outage_backoff(mut self, backoff: Backoff) -> Self {
        self.settings.outage = backoff;
        self
    }

    /// How long a blocked key waits before its head is tried again; default 1 s up to 5 min.
    #[must_use]
    pub const fn refusal_backoff(mut self, backoff: Backoff) -> Self {
        self.settings.refusal = backoff;
        self
    }

    /// Time, for simulations.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.clock = clock;
        self
    }

    /// The relay's name and its jitter, for simulations.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdGenerator>) -> Self {
        self.settings.ids = ids;
        self
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.with_status(|status| status.clone())
    }

    /// Publishes until `shutdown` is cancelled; then finishes the round it is in, gives its shards up and returns.
    ///
    /// # Errors
    /// Only what no waiting heals, such as [`Error::OtherLayout`]. Outages are waited out.
    ///
    /// # Cancel safety
    /// Dropping the future is a crash: nothing is lost, what was sent and not yet recorded is sent again, and other
    /// relays wait for its lease to end.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Error> {
        Session::new(self).run(&shutdown).await
    }

    fn with_status<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        // A status is whole at every moment: a panic elsewhere cannot have left it half written.
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: ?Sized, P: ?Sized> fmt::Debug for Relay<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("settings", &self.settings)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
