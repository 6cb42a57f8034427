//! Workers whose handlers do what a test says, and an inbox that counts what stood in its way.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mainstay_clock::Backoff;
use mainstay_database::postgres::{Database, classify};
use mainstay_inbox::{
    Admission, Error, HandlerError, Handlers, Inbox, MarkRetention, Received, Status, Swept,
    Worker, conformance::Fixture as _, postgres::PostgresInbox,
};
use mainstay_messaging::{Content, Delivery, Group, Message, Partition, Position, Publisher as _};
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::PostgresFixture;
use crate::named::{Named, group, topic};

/// What a handler does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Write,
    /// Writes, then has a statement fail and tells nobody.
    KeepQuiet,
    /// Does nothing for so long, with the database neither.
    Nap(Duration),
    /// Writes, and takes the account of this number.
    Lock(i64),
}

pub(super) type Plan = fn(&str) -> Act;

#[derive(Clone)]
struct State {
    plan: Plan,
    starts: Arc<Mutex<HashMap<String, usize>>>,
}

async fn act(
    state: State,
    connection: &mut PgConnection,
    received: Received<Named>,
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
        Act::KeepQuiet => {
            PostgresFixture::write(connection, &name).await?;
            let failing = sqlx::query("SELECT 1 / 0").execute(connection).await;
            assert!(failing.is_err());
            return Ok(());
        }
        Act::Lock(account) => {
            let locking = sqlx::query("SELECT balance FROM accounts WHERE id = $1 FOR UPDATE");
            let locked = locking.bind(account).execute(&mut *connection).await;
            locked.map_err(classify)?;
        }
    }
    Ok(PostgresFixture::write(connection, &name).await?)
}

/// The inbox, with a count of the transactions that lost against another one in admission.
pub(super) struct Counting {
    inbox: Arc<PostgresInbox>,
    conflicts: AtomicUsize,
    /// Those of them that admitted several messages.
    shared_conflicts: AtomicUsize,
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
impl MarkRetention for Counting {
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

    async fn sweep(
        &self,
        consumer: &Group,
        horizon: SystemTime,
        cursor: i64,
        limit: u32,
    ) -> Result<Swept, Error> {
        self.inbox.sweep(consumer, horizon, cursor, limit).await
    }
}

pub(super) type CountingWorker = Worker<Database, Counting>;

/// A worker that runs.
pub(super) struct Running {
    worker: Arc<CountingWorker>,
    inbox: Arc<Counting>,
    state: State,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// With short waits, and one attempt: what counts as one stops its key.
    pub(super) fn start(
        f: &PostgresFixture,
        plan: Plan,
        set: impl FnOnce(CountingWorker) -> CountingWorker,
    ) -> Self {
        Self::start_on(f, f.database.clone(), plan, set)
    }

    /// On a database that is reached in a way of its own.
    pub(super) fn start_on(
        f: &PostgresFixture,
        database: Database,
        plan: Plan,
        set: impl FnOnce(CountingWorker) -> CountingWorker,
    ) -> Self {
        let state = State {
            plan,
            starts: Arc::default(),
        };
        let inbox = Arc::new(Counting {
            inbox: f.inbox.clone(),
            conflicts: AtomicUsize::new(0),
            shared_conflicts: AtomicUsize::new(0),
        });
        let handlers = Handlers::new().on::<Named, _, _>(state.clone(), act);
        let worker = Worker::new(group(), Arc::new(database), inbox.clone(), handlers)
            .backoff(Backoff::new(
                Duration::from_millis(2),
                Duration::from_millis(20),
            ))
            .commit_interval(Duration::from_millis(5))
            .attempts(1);
        let worker = Arc::new(set(worker));
        let (shutdown, consumer) = (CancellationToken::new(), f.consumer(&group(), &topic()));
        let (this, token) = (Arc::clone(&worker), shutdown.clone());
        Self {
            worker,
            inbox,
            state,
            shutdown,
            task: tokio::spawn(async move { this.run(consumer, token).await }),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.worker.status()
    }

    /// How often a handler was started on this message.
    pub(super) fn starts_of(&self, name: &str) -> usize {
        let starts = self.state.starts.lock().unwrap();
        starts.get(name).copied().unwrap_or(0)
    }

    /// How many admissions lost against another transaction.
    pub(super) fn conflicts(&self) -> usize {
        self.inbox.conflicts.load(Ordering::SeqCst)
    }

    /// How many admissions of several messages lost against another transaction.
    pub(super) fn shared_conflicts(&self) -> usize {
        self.inbox.shared_conflicts.load(Ordering::SeqCst)
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// What it ended with by itself.
    pub(super) async fn end(self) -> Result<(), Error> {
        self.task.await.unwrap()
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
    assert!(waited.is_ok(), "waited in vain: {what}");
    waited.unwrap()
}

/// Waits for so many effects, and answers with them.
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
    until("all offsets committed", async || {
        let progress = f.progress(&group()).await;
        let done = progress.iter().all(|(_, committed, end)| committed == end);
        (done && !progress.is_empty()).then_some(())
    })
    .await;
}

pub(super) fn many(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// A message as a broker hands it over.
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
