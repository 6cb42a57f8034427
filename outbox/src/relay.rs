//! The relay: publishes committed rows in order and removes them once they are acknowledged.

mod handle;
mod in_flight;
mod session;

use std::{fmt, sync::Arc, time::Duration};

use mainstay_clock::{Backoff, Clock, IdGenerator, SystemClock, SystemIds};
use mainstay_messaging::Publisher;

use crate::{
    Error, Status,
    store::{Limit, RelayStore},
};
use handle::{Ending, Shared};
use session::Session;

pub use handle::RelayHandle;

/// Publishes the messages of an outbox through a publisher.
///
/// Run any number of relays on one outbox, in any number of processes: the living ones divide its
/// shards among themselves.
///
/// ```no_run
/// # use std::time::Duration;
/// # use mainstay_outbox::{Error, Relay, messaging::Publisher, store::RelayStore};
/// # async fn shutdown_signal() {}
/// # async fn example(outbox: impl RelayStore, publisher: impl Publisher) -> Result<(), Error> {
/// let relay = Relay::new(outbox, publisher).lease(Duration::from_secs(5));
/// relay.run_until(shutdown_signal()).await?;
/// # Ok(()) }
/// ```
///
/// [`spawn`](Self::spawn) runs it in the background:
///
/// ```no_run
/// # use mainstay_outbox::{Error, Relay, messaging::Publisher, store::RelayStore};
/// # async fn example(outbox: impl RelayStore, publisher: impl Publisher) -> Result<(), Error> {
/// let relay = Relay::new(outbox, publisher).spawn();
/// // … serve requests; `relay.clone()` in a health endpoint shows `relay.status()` …
/// relay.shutdown().await?;
/// # Ok(()) }
/// ```
#[must_use = "call run_until() or spawn() to run the relay"]
pub struct Relay<S, P> {
    store: S,
    publisher: P,
    settings: Settings,
    shared: Arc<Shared>,
    _ending: Ending,
}

#[derive(Clone, Debug)]
struct Settings {
    lease: Duration,
    publish_timeout: Duration,
    poll_interval: Duration,
    round_interval: Duration,
    limit: Limit,
    backoff: Backoff,
    refusal_backoff: Backoff,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl<S: RelayStore, P: Publisher> Relay<S, P> {
    /// A relay with default settings.
    pub fn new(store: S, publisher: P) -> Self {
        let shared = Arc::<Shared>::default();
        Self {
            store,
            publisher,
            settings: Settings {
                lease: Duration::from_secs(10),
                publish_timeout: Duration::from_secs(30),
                poll_interval: Duration::from_millis(500),
                round_interval: Duration::ZERO,
                limit: Limit {
                    messages: 1_000,
                    bytes: 8 * 1024 * 1024,
                },
                backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(5)),
                refusal_backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(300)),
                clock: Arc::new(SystemClock::new()),
                ids: Arc::new(SystemIds::new()),
            },
            _ending: Ending::new(&shared),
            shared,
        }
    }

    /// How long a relay that no longer responds keeps its shards; default 10 s, at least 10 ms. It is
    /// renewed after a third.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How often to look for rows without being notified; default 500 ms. This finds rows that other
    /// processes wrote.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// Minimum interval between the starts of two rounds; default: none. It delays neither a backlog
    /// nor messages that are tried again.
    ///
    /// A round costs the database and the broker a sync of their disks, however many messages it
    /// publishes. An interval lets it wait for more of them, and adds as much to their latency at most. A third of
    /// the lease is the longest one.
    pub const fn round_interval(mut self, interval: Duration) -> Self {
        self.settings.round_interval = interval;
        self
    }

    /// Messages per publish call; default 1,000, at least 1.
    pub fn batch_size(mut self, messages: u32) -> Self {
        self.settings.limit.messages = messages.max(1);
        self
    }

    /// Bytes per publish call; default 8 MiB. A larger message goes alone. While the relay publishes a
    /// batch it reads the next one, so it holds up to twice as much, besides what the publisher buffers.
    pub const fn batch_bytes(mut self, bytes: usize) -> Self {
        self.settings.limit.bytes = bytes;
        self
    }

    /// How long one publish call may take; default 30 s, at least 1 ms. It never outlives the lease.
    pub const fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.settings.publish_timeout = timeout;
        self
    }

    /// Delay between attempts while the broker or the database does not answer; default 50 ms to 5 s.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Delay between attempts to publish a message that the broker refused; default 1 s to 5 min.
    pub const fn refusal_backoff(mut self, backoff: Backoff) -> Self {
        self.settings.refusal_backoff = backoff;
        self
    }

    /// The clock that measures the lease; for simulations.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The source of the relay's name and of its jitter; for simulations.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.settings.ids = Arc::new(ids);
        self
    }

    /// The relay's state.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// A handle that shows the relay's state while [`run_until`](Self::run_until) runs it.
    #[must_use]
    pub fn handle(&self) -> RelayHandle {
        RelayHandle::new(&self.shared)
    }

    /// Publishes until `shutdown` completes. Then it finishes the current round, gives up its shards
    /// and returns.
    ///
    /// # Errors
    /// [`Error::TooShort`] before anything is read. Later only errors that do not heal, such as a
    /// missing privilege. Outages are retried with backoff.
    ///
    /// # Cancel safety
    /// Dropping the future is a crash. Nothing is lost: messages that were published and not yet
    /// recorded are published again, and other relays take over when the lease ends.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.run(shutdown).await
    }

    /// Runs the relay in a task of its own, until [`RelayHandle::shutdown`].
    ///
    /// Dropping the handle leaves the relay running.
    #[must_use = "the handle is needed to shut the relay down"]
    pub fn spawn(self) -> RelayHandle {
        let handle = self.handle();
        let task = tokio::spawn(async move { self.run(std::future::pending()).await });
        handle.adopt(task);
        handle
    }

    async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.settings.check()?;
        let shutdown = async {
            tokio::select! {
                biased;
                () = self.shared.shutdown_requested() => {}
                () = shutdown => {}
            }
        };
        Session::new(self).run(shutdown).await
    }
}

impl Settings {
    /// With shorter durations, no publish call would ever end in time.
    fn check(&self) -> Result<(), Error> {
        let settings = [
            ("lease", self.lease, Duration::from_millis(10)),
            (
                "publish_timeout",
                self.publish_timeout,
                Duration::from_millis(1),
            ),
        ];
        match settings.into_iter().find(|(_, given, least)| given < least) {
            Some((setting, given, least)) => Err(Error::TooShort {
                setting,
                given,
                least,
            }),
            None => Ok(()),
        }
    }
}

impl<S, P> fmt::Debug for Relay<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("settings", &self.settings)
            .field("status", &self.shared.status())
            .finish_non_exhaustive()
    }
}
