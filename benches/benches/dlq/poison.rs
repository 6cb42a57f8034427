//! One key of 10,000 that is blocked, under load: what the others notice.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use mainstay_benches::{Bench, Comparison, Keys, Side, Stopwatch, Took, Workload, timed};
use mainstay_dlq::{DeadLetterQueue, Query, Signature, store::QueueStore};
use mainstay_inbox::{HandlerError, Handlers, store::WorkerStore};
use mainstay_messaging::{
    Delivery, Event, Key, Message, Publisher as _, Topic, broker::Content, memory::Broker,
};
use serde::{Deserialize, Serialize};

/// One message in so many is of the key that may be blocked. With one in 10,000, most rounds would
/// have none to hold.
const OF_THE_KEY: usize = 500;

/// What is handled.
#[derive(Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) body: String,
    pub(crate) number: usize,
}

impl Event for Placed {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Placed";
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct State {
    /// This message cannot be handled.
    poison: Option<usize>,
    sent: Arc<Mutex<BTreeMap<usize, Stopwatch>>>,
    latencies: Arc<Mutex<Histogram<u64>>>,
}

impl State {
    pub(crate) fn new(poison: Option<usize>) -> Self {
        Self {
            poison,
            sent: Arc::default(),
            latencies: Arc::new(Mutex::new(Histogram::new_with_max(60_000_000, 3).unwrap())),
        }
    }

    /// The end of a handler: the latency counts from the publish.
    pub(crate) fn handled(&self, placed: &Placed) -> Result<(), HandlerError> {
        if self.poison == Some(placed.number) {
            return Err(HandlerError::permanent("as planned"));
        }
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = sent.get(&placed.number) {
            let took = u64::try_from(sent.stop().wall.as_micros()).unwrap();
            let mut latencies = self
                .latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            latencies.saturating_record(took);
        }
        Ok(())
    }
}

fn messages(count: usize) -> Vec<Message> {
    let workload = Workload::new(Keys::Uniform).messages(count).into_iter();
    let message = |(number, message): (usize, Message)| {
        let body = String::from_utf8(message.payload.unwrap_or_default().into()).unwrap();
        let placed = Placed { body, number };
        let placed = Message::builder().source("/benches").event(&placed);
        let key = if number % OF_THE_KEY == 0 {
            Key::from_static("order-0")
        } else {
            message.key.unwrap()
        };
        placed.key(key.as_str()).build().unwrap()
    };
    workload.enumerate().map(message).collect()
}

/// Messages as a broker hands them over, each of a key of its own.
pub(crate) fn deliveries(count: usize) -> Vec<Delivery> {
    let mut deliveries = super::admission::deliveries(count);
    for (number, (delivery, message)) in deliveries.iter_mut().zip(messages(count)).enumerate() {
        let key = Key::new(format!("key-{number}")).unwrap();
        delivery.content = Content::Message(message.with_key(key));
    }
    deliveries
}

/// A worker on the queue and a log in memory: what `feed` publishes, until all of it is committed.
async fn work<I, S>(
    queue: &DeadLetterQueue<I, S>,
    handlers: Handlers<I::Connection, State>,
    count: usize,
    feed: impl AsyncFnOnce(&Broker),
) where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let broker = Broker::builder().build();
    broker
        .create_topic(Topic::from_static("orders"), 1)
        .await
        .unwrap();
    let consumer = broker
        .consumer("billing")
        .subscribe(["orders"])
        .await
        .unwrap();
    let worker = queue.worker(consumer).handlers(handlers).spawn();
    feed(&broker).await;
    let all = i64::try_from(count).unwrap();
    let finished = || {
        worker
            .status()
            .partitions
            .iter()
            .map(|p| p.finished_below)
            .max()
    };
    while finished() < Some(all) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    worker.shutdown().await.unwrap();
}

async fn publish(broker: &Broker, messages: &[Message]) {
    for outcome in broker.publisher().publish(messages).await {
        assert!(outcome.is_acknowledged());
    }
}

/// So that the next round blocks the key again.
async fn empty<I, S>(queue: &DeadLetterQueue<I, S>, handlers: Handlers<I::Connection, State>)
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let by = Signature::new("bench", "the round is over");
    let desk = queue.desk();
    desk.discard_all(Query::all(), None, &by).await.unwrap();
    let replayer = queue.replayer("billing", handlers).unwrap();
    let replayer = replayer.poll_interval(Duration::from_millis(1)).spawn();
    let group = super::admission::CONSUMER.clone();
    while desk.totals(&group).await.unwrap() != mainstay_dlq::desk::Totals::default() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    replayer.shutdown().await.unwrap();
}

pub(crate) fn compare<I, S>(
    bench: &Bench,
    on: &str,
    open: impl Fn(&str) -> DeadLetterQueue<I, S>,
    register: impl Fn(Handlers<I::Connection, State>) -> Handlers<I::Connection, State>,
) where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
{
    let name = format!("dlq: throughput while one key of 10,000 is blocked, {on}");
    let handlers = |state: &State| register(Handlers::new().with_state(state.clone()));
    let round = |queue: &DeadLetterQueue<I, S>, count: usize, poison| {
        let (state, messages) = (State::new(poison), messages(count));
        let took: Took = timed(|| {
            bench
                .runtime
                .block_on(work(queue, handlers(&state), count, async |broker| {
                    publish(broker, &messages).await;
                }));
        });
        bench
            .runtime
            .block_on(empty(queue, handlers(&State::new(None))));
        took
    };
    if bench.wants(&name) {
        let count = bench.scaled(5_000);
        let (blocked, free) = (open("blocked"), open("free"));
        let mut sides = [
            Side::new("one key blocked", || round(&blocked, count, Some(0))),
            Side::new("no key blocked", || round(&free, count, None)),
        ];
        let comparison = Comparison::new(name, count)
            .rounds(15)
            .target("no key blocked", 0.9);
        bench.compare(&comparison, &mut sides);
    }

    let name =
        format!("dlq: latency of the others while one key is blocked, 500 messages a second, {on}");
    if !bench.wants(&name) {
        return;
    }
    let count = bench.scaled(1_500);
    let (blocked, free) = (open("late-blocked"), open("late-free"));
    let rounds = if bench.quick { 1 } else { 21 };
    println!("\n{name}: {rounds} rounds of {count} messages for each side, in turn");
    // All rounds together: a stall of the machine is a hundredth of one round.
    let mut latencies = [(); 2].map(|()| Histogram::<u64>::new(3).unwrap());
    for turn in 0..rounds {
        let order = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            let (queue, poison) = [(&blocked, Some(0)), (&free, None)][side];
            let (state, messages) = (State::new(poison), messages(count));
            bench
                .runtime
                .block_on(work(queue, handlers(&state), count, async |broker| {
                    let mut ticks = tokio::time::interval(Duration::from_millis(2));
                    for (number, message) in messages.iter().enumerate() {
                        ticks.tick().await;
                        state
                            .sent
                            .lock()
                            .unwrap()
                            .insert(number, Stopwatch::start());
                        publish(broker, std::slice::from_ref(message)).await;
                    }
                }));
            latencies[side]
                .add(&*state.latencies.lock().unwrap())
                .unwrap();
            bench
                .runtime
                .block_on(empty(queue, handlers(&State::new(None))));
        }
    }
    let at = |quantile| {
        let [blocked, free] = &latencies;
        let (blocked, free) = (
            blocked.value_at_quantile(quantile),
            free.value_at_quantile(quantile),
        );
        #[expect(clippy::cast_precision_loss, reason = "microseconds")]
        let ratio = blocked as f64 / free as f64;
        format!("blocked {blocked:>6} µs, free {free:>6} µs, ratio {ratio:.2}")
    };
    println!("  p50: {}", at(0.5));
    println!("  p99: {}; target 1.10", at(0.99));
}
