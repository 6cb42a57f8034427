//! Workers with scripted handlers, and an inbox that counts conflicts.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_clock::Backoff;
use mainstay_database::postgres::Database;
use mainstay_inbox::{
    Admission, Error, HandlerError, Inbox, PostgresInbox, Received, Status, Worker, WorkerHandle,
    conformance::Fixture as _,
    store::{Pruned, Retention, WorkerStore},
};
use mainstay_messaging::{
    Group, Message, Partition, Position, Publisher as _,
    broker::{Content, Delivery},
    memory::LogConsumer,
};
use sqlx::PgConnection;

use super::PostgresFixture;
use crate::named::{Named, group, topic};

/// What a handler does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Write,
    /// Writes, then ignores the error of a statement.
    IgnoreError,
    /// Does nothing for so long.
    Nap(Duration),
    /// Locks the account of this number, and writes.
    Lock(i64),
}

pub(super) type Plan = fn(&str) -> Act;

#[derive(Clone)]
pub(super) struct State {
    plan: Plan,
    starts: Arc<Mutex<HashMap<String, usize>>>,
}

async fn act(
    connection: &mut PgConnection,
    received: Received<Named>,
    state: State,
) -> Result<(), HandlerError> {
    let name = received.event.name;
    *state
        .starts
        .lock()
        .unwrap()
        .entry(name.clone())
        .or_default() += 1;
    match (state.plan)(&name) {
        Act::Write => {}
        Act::Nap(time) => {
            tokio::time::sleep(time).await;
            return Ok(());
        }
        Act::IgnoreError => {
            PostgresFixture::write(connection, &name).await?;
            let failing = sqlx::query("SELECT 1 / 0").execute(connection).await;
            assert!(failing.is_err());
            return Ok(());
        }
        Act::Lock(account) => {
            let locking = sqlx::query("SELECT balance FROM accounts WHERE id = $1 FOR UPDATE");
            locking.bind(account).execute(&mut *connection).await?;
        }
    }
    Ok(PostgresFixture::write(connection, &name).await?)
}

/// The inbox, on a database of its own, with a count of the admissions that lost against another
/// transaction.
#[derive(Clone)]
pub(super) struct Counting {
    inbox: PostgresInbox,
    database: Database,
    conflicts: Arc<AtomicUsize>,
    /// Those of them that admitted several messages.
    shared_conflicts: Arc<AtomicUsize>,
}

#[async_trait]
impl Inbox for Counting {
    type Connection = PgConnection;

    async fn admit_batch(
        &self,
        connection: &mut PgConnection,
        consumer: &Group,
        deliveries: &[&Delivery],
    ) -> Result<Vec<Admission>, Error> {
        let admitted = self.inbox.admit_batch(connection, consumer, deliveries);
        let admitted = admitted.await;
        if let Err(Error::Database(mainstay_database::Error::Conflict(_))) = &admitted {
            self.conflicts.fetch_add(1, Ordering::SeqCst);
            let shared = usize::from(deliveries.len() > 1);
            self.shared_conflicts.fetch_add(shared, Ordering::SeqCst);
        }
        admitted
    }
}

#[async_trait]
impl Retention for Counting {
    async fn now(&self) -> Result<SystemTime, Error> {
        self.inbox.now().await
    }

    async fn checkpoint(
        &self,
        consumer: &Group,
        positions: &[Position],
        at: SystemTime,
        spacing: Duration,
    ) -> Result<(), Error> {
        let inbox = &self.inbox;
        inbox.checkpoint(consumer, positions, at, spacing).await
    }

    async fn prune(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Pruned, Error> {
        self.inbox.prune(consumer, horizon, cursor, limit).await
    }
}

impl WorkerStore for Counting {
    type Database = Database;

    fn database(&self) -> &Database {
        &self.database
    }
}

pub(super) type CountingWorker = Worker<Counting, LogConsumer, State>;

/// A worker that runs.
pub(super) struct Running {
    handle: WorkerHandle,
    inbox: Counting,
    state: State,
}

impl Running {
    /// With short waits and one attempt, so that a counted failure blocks its key.
    pub(super) async fn start(
        f: &PostgresFixture,
        plan: Plan,
        set: impl FnOnce(CountingWorker) -> CountingWorker,
    ) -> Self {
        Self::start_on(f, f.database.clone(), plan, set).await
    }

    /// On a database of its own.
    pub(super) async fn start_on(
        f: &PostgresFixture,
        database: Database,
        plan: Plan,
        set: impl FnOnce(CountingWorker) -> CountingWorker,
    ) -> Self {
        let state = State {
            plan,
            starts: Arc::default(),
        };
        let inbox = Counting {
            inbox: f.inbox.clone(),
            database,
            conflicts: Arc::default(),
            shared_conflicts: Arc::default(),
        };
        let consumer = f.consumer(&group(), &topic()).await;
        let worker = Worker::new(inbox.clone(), consumer)
            .with_state(state.clone())
            .on(act)
            .backoff(Backoff::new(
                Duration::from_millis(2),
                Duration::from_millis(20),
            ))
            .commit_interval(Duration::from_millis(5))
            .max_attempts(1);
        Self {
            handle: set(worker).spawn(),
            inbox,
            state,
        }
    }

    pub(super) fn status(&self) -> Status {
        self.handle.status()
    }

    /// How often a handler has started on this message.
    pub(super) fn starts_of(&self, name: &str) -> usize {
        let starts = self.state.starts.lock().unwrap();
        starts.get(name).copied().unwrap_or(0)
    }

    /// How many admissions have lost against another transaction.
    pub(super) fn conflicts(&self) -> usize {
        self.inbox.conflicts.load(Ordering::SeqCst)
    }

    /// How many admissions of several messages lost against another transaction.
    pub(super) fn shared_conflicts(&self) -> usize {
        self.inbox.shared_conflicts.load(Ordering::SeqCst)
    }

    pub(super) async fn stop(self) {
        self.handle.shutdown().await.unwrap();
    }

    /// Waits until it ends by itself.
    pub(super) async fn end(self) -> Result<(), Error> {
        self.handle.ended().await
    }
}

pub(super) async fn publish(f: &PostgresFixture, messages: &[Message]) {
    for answer in f.publisher().publish(messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
}

/// Waits until `holds` does.
pub(super) async fn until<R>(what: &str, mut holds: impl AsyncFnMut() -> Option<R>) -> R {
    let waiting = async {
        loop {
            if let Some(result) = holds().await {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
    waited.unwrap()
}

/// Waits for so many effects, and returns them.
pub(super) async fn effects(f: &PostgresFixture, count: usize) -> Vec<String> {
    until(&format!("{count} effects"), async || {
        let effects = f.effects().await;
        assert!(effects.len() <= count, "too many: {effects:?}");
        (effects.len() == count).then_some(effects)
    })
    .await
}

/// Waits until the group has committed everything.
pub(super) async fn all_committed(f: &PostgresFixture) {
    until("all offsets to be committed", async || {
        let progress = f.progress(&group()).await;
        let done = progress.iter().all(|(_, committed, end)| committed == end);
        (done && !progress.is_empty()).then_some(())
    })
    .await;
}

/// A message as a broker delivers it.
pub(super) fn delivery(message: Message, offset: i64) -> Delivery {
    Delivery {
        position: Position {
            partition: Partition {
                topic: topic(),
                number: 0,
            },
            offset,
        },
        content: Content::Message(message),
    }
}
