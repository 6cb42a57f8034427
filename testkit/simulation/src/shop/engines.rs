//! Relays and workers.

use std::{sync::Arc, time::Duration};

use mainstay_clock::Backoff;
use mainstay_database::memory::{Connection, Inserted};
use mainstay_dlq::{DeadLetterQueue, memory::MemoryDeadLetters};
use mainstay_inbox::{
    BlockKey, HandlerError, Handlers, Inbox, MemoryInbox, Received, Worker, failure::FailurePolicy,
    store::WorkerStore,
};
use mainstay_messaging::{Consumer, Message, Publisher, StartAt};
use mainstay_outbox::{Relay, store::RelayStore};

use super::{
    Failure, Lasting, Shop, group,
    rows::{Parcel, Placed, Shelf},
    topic,
    witness::{Watched, Witness},
};
use crate::{CallFault, Process, Rng};

pub(crate) fn backoff(first: u64, longest: u64) -> Backoff {
    Backoff::new(Duration::from_millis(first), Duration::from_millis(longest))
}

/// A relay.
pub(super) async fn relay(
    shop: Shop,
    witness: Arc<Witness>,
    process: Process,
) -> Result<(), Failure> {
    let outbox = shop.outbox_of(&process.database()).await?;
    let store = Watched::new(outbox, &witness);
    let publisher = store.beside(process.publisher());
    let publisher = shop.adapters.publisher(Arc::new(publisher));
    let store = shop.adapters.store(Arc::new(store));
    publish(shop.seed, store, publisher, process).await
}

/// A relay with settings that follow from the seed.
pub(crate) async fn publish(
    seed: u64,
    store: Arc<dyn RelayStore>,
    publisher: Arc<dyn Publisher>,
    process: Process,
) -> Result<(), Failure> {
    let rng = Rng::new(seed, process.name());
    // A message has some 200 of them.
    let bytes = if rng.one_in(2) {
        1_000_000
    } else {
        300 + rng.below(1_500)
    };
    let relay = Relay::new(store, publisher)
        .lease(Duration::from_millis(2_000 + rng.below(4_000)))
        .batch_size(1 + u32::try_from(rng.below(10)).unwrap_or(0))
        .batch_bytes(bytes)
        .publish_timeout(Duration::from_millis(500 + rng.below(3_000)))
        .backoff(backoff(20, 500))
        .refusal_backoff(backoff(100, 2_000))
        .clock(process.clock())
        .ids(process.ids());
    Ok(relay
        .run_until(process.shutdown().cancelled_owned())
        .await?)
}

/// A worker.
pub(super) async fn worker(
    shop: Shop,
    witness: Arc<Witness>,
    process: Process,
) -> Result<(), Failure> {
    let rng = Rng::new(shop.seed, process.name());
    // A message that stays unread for longer than the retention counts as new.
    let in_flight = if matches!(shop.lasting, Some(Lasting::Poison(_))) {
        usize::MAX
    } else {
        1 + rng.below(40)
    };
    let inbox = MemoryInbox::new(process.database());
    let consumer = process
        .consumer(&group(), &[topic()], StartAt::Earliest)
        .await?;
    let settings = Settings::draw(&rng, in_flight, shop.window());
    if shop.has_queue {
        let queue = queue(&shop, inbox).await?;
        let policy = Watched::new(queue.clone(), &witness);
        return work(queue, consumer, policy, settings, process).await;
    }
    let policy = Watched::new(block_key(), &witness);
    work(inbox, consumer, policy, settings, process).await
}

/// What is drawn for a worker.
pub(crate) struct Settings {
    concurrency: usize,
    batch_size: usize,
    in_flight: usize,
    max_attempts: u32,
    retention: Duration,
    handler_deadline: Duration,
}

impl Settings {
    pub(crate) fn draw(rng: &Rng, in_flight: usize, retention: Duration) -> Self {
        Self {
            concurrency: 1 + rng.below(4),
            batch_size: 1 + rng.below(12),
            in_flight,
            max_attempts: 1 + rng.below(4),
            retention,
            handler_deadline: Duration::from_millis(200 + rng.millis(20_000).as_secs() * 1_000),
        }
    }
}

async fn work<I, K>(
    inbox: I,
    consumer: K,
    policy: impl FailurePolicy,
    settings: Settings,
    process: Process,
) -> Result<(), Failure>
where
    I: WorkerStore + Inbox<Connection = Connection>,
    K: Consumer,
{
    let worker = Worker::new(inbox, consumer)
        .with_state(process.clone())
        .on(pack)
        .failure_policy(policy);
    let shutdown = process.shutdown().cancelled_owned();
    let worker = tuned(worker, &settings, &process);
    Ok(worker.run_until(shutdown).await?)
}

/// A worker with these settings.
pub(crate) fn tuned<I: Inbox, K, S>(
    worker: Worker<I, K, S>,
    settings: &Settings,
    process: &Process,
) -> Worker<I, K, S> {
    worker
        .clock(process.clock())
        .ids(process.ids())
        .concurrency(settings.concurrency)
        .batch_size(settings.batch_size)
        .max_in_flight(settings.in_flight, usize::MAX)
        .max_attempts(settings.max_attempts)
        .retention(settings.retention)
        .drain_timeout(Duration::from_secs(1))
        .handler_deadline(settings.handler_deadline)
        .backoff(backoff(10, 500))
}

pub(crate) fn block_key() -> BlockKey {
    BlockKey::new().retry_after(Duration::from_millis(500))
}

type Queue = DeadLetterQueue<MemoryInbox, MemoryDeadLetters>;

async fn queue(shop: &Shop, inbox: MemoryInbox) -> Result<Queue, Failure> {
    let queue = DeadLetterQueue::builder(inbox).open().await?;
    let rng = Rng::new(shop.seed, "delayed retries");
    let delays = (0..rng.below(3)).map(|_| rng.millis(2_000));
    Ok(queue.delayed_retries(delays.collect::<Vec<_>>()))
}

/// A replayer, with the handlers of the workers.
pub(super) async fn replayer(shop: Shop, process: Process) -> Result<(), Failure> {
    let rng = Rng::new(shop.seed, process.name());
    let queue = queue(&shop, MemoryInbox::new(process.database())).await?;
    let handlers = Handlers::new().with_state(process.clone()).on(pack);
    let replayer = queue
        .replayer(group(), handlers)?
        .poll_interval(Duration::from_millis(50 + rng.below(500)))
        .concurrency(1 + rng.below(3))
        .max_attempts(1 + rng.below(3))
        .retention(shop.window())
        .backoff(backoff(10, 500))
        .ids(process.ids());
    let shutdown = process.shutdown().cancelled_owned();
    Ok(replayer.run_until(shutdown).await?)
}

async fn pack(
    connection: &mut Connection,
    received: Received<Placed>,
    process: Process,
) -> Result<(), HandlerError> {
    as_planned(&process, &received.message).await?;
    let placed = received.event;
    // The lock on the row makes the order of numbers that of commits.
    let shelf = Shelf {
        key: placed.key.clone(),
        count: 1,
    };
    let statement = connection.statement();
    let _: Inserted = statement.await?.upsert(shelf, |row| row.count += 1).await?;
    let mut statement = connection.statement().await?;
    let shelf = statement.get::<Shelf>(&placed.key);
    let number = shelf.map_or(0, |shelf| shelf.count);
    let _: Inserted = statement.insert(Parcel { number, placed }).await?;
    Ok(())
}

/// Fails if the plan has a fault of this call of a handler.
pub(crate) async fn as_planned(process: &Process, message: &Message) -> Result<(), HandlerError> {
    match process.handles(message).await {
        None => Ok(()),
        Some(CallFault::Conflict) => {
            Err(mainstay_database::Error::Conflict("planned".into()).into())
        }
        // Past the panic hook, which would only print it.
        Some(CallFault::Panics) => std::panic::resume_unwind(Box::new("planned")),
        Some(CallFault::Fails) => Err(HandlerError::retryable("planned")),
        Some(_) => Err(HandlerError::permanent("planned")),
    }
}
