//! The consumer runtime.

mod adaptive;
mod calls;
mod engine;
mod handle;
mod handlers;
mod holdings;
mod item;
mod kinds;
mod lanes;
mod outcome;
mod pump;
mod run;
mod settings;
mod telemetry;
mod upkeep;
mod waiting;
mod window;
mod work;

use std::{fmt, sync::Arc, time::Duration};

use mainstay_database::Transactions;
use mainstay_messaging::Consumer;

use crate::{Error, Handlers, Inbox, Status, store::WorkerStore};
use engine::Engine;
use handle::Ending;
use settings::Settings;
use work::Work;

pub use handle::WorkerHandle;

/// No handler that waits for its database ends earlier.
const SHORTEST_DEADLINE: Duration = Duration::from_millis(1);

/// Reads a broker as one member of a consumer group, and applies each handler's database effect
/// once.
///
/// The group comes from the consumer, the database from the inbox. One worker has one set of
/// handlers; `S` is the state that handlers registered next may take.
///
/// There is no way to give a worker another database than its inbox's:
///
/// ```compile_fail,E0061
/// use mainstay_inbox::{MemoryInbox, Worker, database::memory::Database, messaging::Consumer};
///
/// fn worker(consumer: impl Consumer) {
///     let inbox = MemoryInbox::new(&Database::new());
///     let _ = Worker::new(inbox, consumer, Database::new()); // takes two arguments
/// }
/// ```
///
/// A handler for another database's connection does not compile either:
///
/// ```compile_fail,E0277
/// # use mainstay_inbox::{HandlerError, MemoryInbox, Received, Worker, database::memory::Database, messaging::{Consumer, Event}};
/// # #[derive(serde::Serialize, serde::Deserialize)] struct OrderPlaced;
/// # impl Event for OrderPlaced { const TOPIC: &'static str = "orders"; const KIND: &'static str = "OrderPlaced"; }
/// struct OtherConnection;
///
/// async fn bill(_: &mut OtherConnection, _: Received<OrderPlaced>) -> Result<(), HandlerError> { Ok(()) }
///
/// fn worker(consumer: impl Consumer) {
///     let inbox = MemoryInbox::new(&Database::new());
///     let _ = Worker::new(inbox, consumer).on(bill); // not a handler on this worker's connection
/// }
/// ```
#[must_use = "a worker does nothing before `run_until` or `spawn`"]
pub struct Worker<I: Inbox, K, S = ()> {
    inbox: I,
    consumer: K,
    handlers: Handlers<I::Connection, S>,
    settings: Settings,
    ending: Ending,
}

impl<I: WorkerStore, K: Consumer> Worker<I, K> {
    /// A worker that reads `consumer` and admits its messages in `inbox`.
    pub fn new(inbox: I, consumer: K) -> Self {
        Self {
            inbox,
            consumer,
            handlers: Handlers::new(),
            settings: Settings::default(),
            ending: Ending::default(),
        }
    }
}

impl<I: WorkerStore, K: Consumer, S: Send + Sync + 'static> Worker<I, K, S> {
    /// Works until `shutdown` completes. Then it starts nothing more, waits for running
    /// transactions up to
    /// [`drain_timeout`](Self::drain_timeout), commits offsets, leaves the group and returns.
    ///
    /// `CancellationToken::cancelled_owned` is a future that can be given here.
    ///
    /// # Errors
    /// Before anything is read: [`Error::TwoHandlers`], [`Error::DeadlineTooLong`],
    /// [`Error::TooShort`]. Later:
    /// [`Error::Broker`], when the broker has ended this consumer for good. Everything else is
    /// retried, and shown by [`Status::last_error`].
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: uncommitted messages are delivered again, and each
    /// effect is applied once.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let ending = self.ending;
        let shared = ending.shared();
        let registry = self.handlers.into_registry();
        registry.check()?;
        let deadline = self.settings.handler_deadline;
        if deadline < SHORTEST_DEADLINE {
            return Err(Error::TooShort {
                setting: "handler_deadline",
                given: deadline,
                least: SHORTEST_DEADLINE,
            });
        }
        if let Some(limit) = self.inbox.database().idle_limit()
            && deadline >= limit
        {
            return Err(Error::DeadlineTooLong { deadline, limit });
        }
        let group = self.consumer.group().clone();
        let work = Work::new(group, self.inbox, registry, self.settings);
        let shutdown = async {
            tokio::select! {
                biased;
                () = shared.shutdown_requested() => {}
                () = shutdown => {}
            }
        };
        Engine::run(Arc::new(work), self.consumer, shared, shutdown).await
    }

    /// Runs the worker in a task of its own, until [`WorkerHandle::shutdown`].
    ///
    /// Dropping the handle leaves the worker running.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use = "the handle is needed to shut the worker down"]
    pub fn spawn(self) -> WorkerHandle {
        let handle = self.handle();
        handle.adopt(tokio::spawn(self.run_until(std::future::pending())));
        handle
    }

    /// What it is doing now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.ending.shared().status()
    }

    /// A handle that shows the worker's status while [`run_until`](Self::run_until) runs it.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle::new(self.ending.shared())
    }
}

impl<I: Inbox, K, S> fmt::Debug for Worker<I, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("handlers", &self.handlers)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
