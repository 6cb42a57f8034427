//! The queue: an inbox that holds messages behind dead letters.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_database::{Namespace, Transactions as _};
use mainstay_inbox::{
    Admission, Handlers, Inbox, Worker,
    failure::{Failure, FailureOutcome, FailurePolicy},
    store::{Pruned, Retention, WorkerStore},
};
use mainstay_messaging::{Consumer, Delivery, Group, InvalidName, Position};
use metrics::counter;
use tokio::sync::Notify;

use crate::{
    Error,
    desk::Desk,
    letter::BlockedKey,
    replayer::Replayer,
    store::{DeadLetterDatabase, DeadLetterStore, Fault, QueueStore},
};

/// The store that this crate has for the database of an inbox.
pub type StoreOf<I> = <<I as WorkerStore>::Database as DeadLetterDatabase>::Store;

/// A dead letter queue around an inbox. Clones share everything.
///
/// It *is* an [`Inbox`], so a [`Worker`] runs on it, and the [`FailurePolicy`] of that worker:
/// [`worker`](Self::worker) makes one. The queue's tables lie in the inbox's database: it takes the
/// database from the inbox, so two different ones do not compile.
pub struct DeadLetterQueue<I, S> {
    shared: Arc<Shared<I, S>>,
    delays: Arc<[Duration]>,
}

struct Shared<I, S> {
    inbox: I,
    store: S,
    /// There is something to replay: an operator of this process has said so.
    notify: Notify,
}

impl<I, S> Clone for DeadLetterQueue<I, S> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        let delays = Arc::clone(&self.delays);
        Self { shared, delays }
    }
}

impl<I, S> fmt::Debug for DeadLetterQueue<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterQueue")
            .field("delayed_retries", &self.delays)
            .finish_non_exhaustive()
    }
}

impl<I: WorkerStore> DeadLetterQueue<I, StoreOf<I>>
where
    I::Database: DeadLetterDatabase,
{
    /// Starts to open a queue around `inbox`, in the inbox's database.
    pub fn builder(inbox: I) -> DeadLetterQueueBuilder<I> {
        DeadLetterQueueBuilder {
            inbox,
            namespace: Namespace::plain(),
            delays: Vec::new(),
        }
    }
}

impl<I, S> DeadLetterQueue<I, S>
where
    I: WorkerStore,
    S: DeadLetterStore<Connection = I::Connection>,
{
    /// A queue on a store of your own, in the inbox's database.
    #[must_use]
    pub fn with_store(inbox: I, store: S) -> Self {
        Self::new(inbox, store, Vec::new())
    }

    fn new(inbox: I, store: S, delays: Vec<Duration>) -> Self {
        let shared = Shared {
            inbox,
            store,
            notify: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            delays: delays.into(),
        }
    }

    /// A worker on this queue: it holds messages behind dead letters, and what it cannot handle
    /// becomes one.
    pub fn worker<K: Consumer>(&self, consumer: K) -> Worker<Self, K> {
        Worker::new(self.clone(), consumer).failure_policy(self.clone())
    }

    /// The same queue with other [delayed retries](DeadLetterQueueBuilder::delayed_retries), for
    /// another consumer.
    #[must_use]
    pub fn delayed_retries(&self, delays: impl IntoIterator<Item = Duration>) -> Self {
        let shared = Arc::clone(&self.shared);
        let delays = delays.into_iter().collect();
        Self { shared, delays }
    }

    pub(crate) fn database(&self) -> &I::Database {
        self.shared.inbox.database()
    }

    pub(crate) fn store(&self) -> &S {
        &self.shared.store
    }

    pub(crate) fn delays(&self) -> &[Duration] {
        &self.delays
    }

    pub(crate) fn notify(&self) {
        self.shared.notify.notify_waiters();
    }

    pub(crate) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.shared.notify.notified()
    }
}

impl<I, S> DeadLetterQueue<I, S>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    /// Replays dead letters of `consumer` with `handlers`, those of its worker.
    ///
    /// # Errors
    /// [`InvalidName`] if `consumer` is no name of a consumer group.
    pub fn replayer<G, T>(
        &self,
        consumer: G,
        handlers: Handlers<I::Connection, T>,
    ) -> Result<Replayer<I, S, T>, InvalidName>
    where
        G: TryInto<Group>,
        G::Error: Into<InvalidName>,
        T: Clone + Send + Sync + 'static,
    {
        let consumer = consumer.try_into().map_err(Into::into)?;
        Ok(Replayer::new(self.clone(), consumer, handlers))
    }

    /// What operators see and do.
    #[must_use]
    pub fn desk(&self) -> Desk<I, S> {
        Desk::new(self.clone())
    }
}

/// Opens a dead letter queue; made by [`DeadLetterQueue::builder`].
///
/// | setter | default |
/// |---|---|
/// | `namespace` | plain names |
/// | `delayed_retries` | none |
#[derive(Clone, Debug)]
#[must_use = "call open() to open the queue"]
pub struct DeadLetterQueueBuilder<I> {
    inbox: I,
    namespace: Namespace,
    delays: Vec<Duration>,
}

impl<I: WorkerStore> DeadLetterQueueBuilder<I>
where
    I::Database: DeadLetterDatabase,
{
    /// Where the queue's tables are: under a prefix, and on PostgreSQL in a schema; default: plain
    /// names.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Tries a dead letter again by itself after each of these delays, if its failure may heal;
    /// default: none. Its key stays blocked meanwhile.
    pub fn delayed_retries(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.delays = delays.into_iter().collect();
        self
    }

    /// Opens the queue, and brings its tables to this build's version. Safe when several processes
    /// start at once.
    ///
    /// # Errors
    /// As `Database::migrate`.
    pub async fn open(self) -> Result<DeadLetterQueue<I, StoreOf<I>>, Error> {
        let store = self
            .inbox
            .database()
            .open_store(&self.namespace, true)
            .await?;
        Ok(DeadLetterQueue::new(self.inbox, store, self.delays))
    }

    /// Opens the queue on tables that its `MIGRATIONS` made before, run by the service's own tool
    /// or by another role.
    ///
    /// # Errors
    /// [`Error::Database`] with [`MissingSchema`](mainstay_database::Error::MissingSchema) if a
    /// table or column is missing.
    pub async fn open_without_migrating(self) -> Result<DeadLetterQueue<I, StoreOf<I>>, Error> {
        let store = self
            .inbox
            .database()
            .open_store(&self.namespace, false)
            .await?;
        Ok(DeadLetterQueue::new(self.inbox, store, self.delays))
    }
}

/// Processed records first, then the look at blocked keys: its snapshot is younger than the end of
/// every transaction that the records waited for.
#[async_trait]
impl<I, S> Inbox for DeadLetterQueue<I, S>
where
    I: WorkerStore,
    S: DeadLetterStore<Connection = I::Connection>,
{
    type Connection = I::Connection;

    async fn admit_batch(
        &self,
        connection: &mut I::Connection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, mainstay_inbox::Error> {
        let inbox = &self.shared.inbox;
        let mut admissions = inbox.admit_batch(connection, consumer, deliveries).await?;
        let pairs = admissions.iter().zip(deliveries).enumerate();
        let (places, fresh): (Vec<_>, Vec<_>) = pairs
            .filter(|(_, (admission, _))| admission.is_fresh())
            .map(|(place, (_, delivery))| (place, *delivery))
            .unzip();
        if fresh.is_empty() {
            return Ok(admissions);
        }
        let store = &self.shared.store;
        for held in store.hold(connection, consumer, &fresh).await? {
            if let Some(place) = places.get(held)
                && let Some(admission) = admissions.get_mut(*place)
            {
                *admission = Admission::Held;
            }
        }
        Ok(admissions)
    }
}

#[async_trait]
impl<I, S> Retention for DeadLetterQueue<I, S>
where
    I: WorkerStore,
    S: DeadLetterStore<Connection = I::Connection>,
{
    async fn now(&self) -> Result<SystemTime, mainstay_inbox::Error> {
        self.shared.inbox.now().await
    }

    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), mainstay_inbox::Error> {
        let inbox = &self.shared.inbox;
        inbox.checkpoint(consumer, positions, at, spacing).await
    }

    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, mainstay_inbox::Error> {
        let inbox = &self.shared.inbox;
        inbox.prune(consumer, horizon, cursor, limit).await
    }
}

impl<I, S> WorkerStore for DeadLetterQueue<I, S>
where
    I: WorkerStore,
    S: DeadLetterStore<Connection = I::Connection>,
{
    type Database = I::Database;

    fn database(&self) -> &I::Database {
        self.shared.inbox.database()
    }
}

/// Processed record, body and blocked key commit together; until then nothing is acknowledged.
#[async_trait]
impl<I, S> FailurePolicy for DeadLetterQueue<I, S>
where
    I: WorkerStore,
    S: DeadLetterStore<Connection = I::Connection>,
{
    async fn on_failure(
        &self,
        consumer: &Group,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<FailureOutcome, mainstay_inbox::Error> {
        let Shared { inbox, store, .. } = &*self.shared;
        let database = inbox.database();
        let mut tx = database.begin().await?;
        // A record that is there already: another worker has handled the message, or kept it. A
        // message whose key is blocked meanwhile waits in its order.
        if inbox.admit(&mut tx, consumer, delivery).await?.is_fresh() {
            let fault = Fault::of(consumer, delivery, failure, &self.delays);
            let is_held = !store.hold(&mut tx, consumer, &[delivery]).await?.is_empty();
            if !is_held {
                store.keep(&mut tx, consumer, delivery, &fault).await?;
            }
            database.commit(tx).await?;
            let position = &delivery.position;
            let (kind, error) = (fault.kind, &fault.error);
            let key = BlockedKey::of(consumer, delivery).map(|key| key.key);
            let key = key.as_deref();
            if is_held {
                // It may have failed because of what the earlier message has not done.
                tracing::warn!(%consumer, %position, key, kind, error, "a message failed, and a dead letter of its key is before it: it is held, and the replay handles it in its turn");
                return Ok(FailureOutcome::DeadLettered);
            }
            tracing::error!(%consumer, %position, key, kind, error, "a message cannot be handled: it is in the dead letter queue, and its key is blocked");
            counter!("mainstay_dlq_dead_lettered", "consumer" => consumer.to_string(), "failure" => kind)
                .increment(1);
        }
        Ok(FailureOutcome::DeadLettered)
    }
}
