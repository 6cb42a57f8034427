//! From the answer to a commit in PostgreSQL to a consumer of Kafka, at a rate: writers, relay and consumer in one process,
//! beside a loop by hand. On the servers of `MAINSTAY_POSTGRES_URL` and `MAINSTAY_KAFKA_URL`. Each run counts what was
//! lost, what came twice, and what came out of order.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first error, and says what it saw"
)]

#[path = "kafka/by_hand.rs"]
#[expect(dead_code, reason = "other benches use the rest of it")]
mod by_hand;
#[path = "postgres/shop.rs"]
#[expect(dead_code, reason = "other benches use the rest of it")]
mod shop;
#[path = "kafka/topic.rs"]
#[expect(dead_code, reason = "other benches use the rest of it")]
mod topic;

use std::{
    collections::HashMap,
    thread::{self, JoinHandle},
    time::Duration,
};

use by_hand::{Raw, move_batch};
use futures_util::future::join_all;
use hdrhistogram::Histogram;
use mainstay_benches::{Bench, Keys, Workload};
use mainstay_clock::{IdGenerator as _, SeededIds};
use mainstay_messaging::{Consumer as _, Key, Message, broker::ConsumerEvent, kafka::Broker};
use mainstay_outbox::{Outbox as _, Relay};
use mainstay_testkit::{kafka, postgres};
use rustix::time::{ClockId, clock_gettime};
use shop::{Shop, business};
use tokio::{
    runtime::Builder,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use topic::{NewTopic, Seen};

/// Connections that write, one transaction after the other. A key has one of them, so its commits have an order.
const WRITERS: usize = 16;

/// How often the loop by hand looks when it found nothing.
const POLL: Duration = Duration::from_millis(1);

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let suite = "the benches of the outbox on Kafka";
    let Some((postgres, kafka)) =
        postgres::Server::for_suite(suite).zip(kafka::Server::for_suite(suite))
    else {
        return;
    };
    for rate in [100, 1_000] {
        at(&bench, &postgres, &kafka, rate);
    }
}

/// Rounds at so many commits a second, ours and those by hand in turn.
fn at(bench: &Bench, postgres: &postgres::Server, kafka: &kafka::Server, rate: u32) {
    let name = format!("PostgreSQL to Kafka: from commit to consumer, {rate}/s");
    if !bench.wants(&name) {
        return;
    }
    println!("\n{name}");
    let [ours, by_hand] = ["relay", "SELECT, produce, DELETE by hand"]
        .map(|side| Path::new(side, bench, postgres, kafka));
    let relay = Relay::new(ours.shop.outbox.clone(), ours.topic.broker.publisher());
    let relay = bench.runtime.block_on(async { relay.spawn() });
    let producer = Raw::new(kafka);
    let (pool, topic) = (by_hand.shop.pool.clone(), by_hand.topic.full.clone());
    let looping = async {
        loop {
            let moved = move_batch(&pool, &producer, &topic, 1_000).await;
            if moved == 0 {
                sleep(POLL).await;
            }
        }
    };
    let seconds = if bench.quick { 1 } else { 10 };
    let count = usize::try_from(rate).unwrap() * seconds;
    let mut paths = [ours, by_hand];
    let measuring = async {
        // The first round warms up.
        for round in 0..=if bench.quick { 1 } else { 5 } {
            for path in &mut paths {
                path.round(rate, count, round > 0).await;
            }
        }
    };
    bench.runtime.block_on(async {
        tokio::select! {
            () = measuring => {}
            () = looping => {}
        }
    });
    for path in paths {
        path.print();
    }
    bench.runtime.block_on(relay.shutdown()).unwrap();
}

/// A database, a topic, and a consumer in a thread of its own, as another process would have it.
struct Path {
    side: &'static str,
    shop: Shop,
    topic: NewTopic,
    draws: SeededIds,
    came: UnboundedReceiver<Came>,
    consumer: JoinHandle<()>,
    stop: CancellationToken,
    times: Histogram<u64>,
    seen: Vec<(Vec<Message>, Vec<String>)>,
}

/// A message in the consumer's hands.
struct Came {
    id: String,
    at: Duration,
}

impl Path {
    fn new(
        side: &'static str,
        bench: &Bench,
        postgres: &postgres::Server,
        kafka: &kafka::Server,
    ) -> Self {
        let topic = NewTopic::create(bench, kafka);
        let (sender, came) = unbounded_channel();
        let stop = CancellationToken::new();
        let (broker, stopped) = (topic.broker.clone(), stop.clone());
        let consumer = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = consume(broker, sender) => {}
                    () = stopped.cancelled() => {}
                }
            });
        });
        NewTopic::warm_up(bench, &topic.broker.publisher());
        let mut path = Self {
            side,
            shop: Shop::new(bench, postgres, u32::try_from(WRITERS).unwrap()),
            topic,
            draws: SeededIds::new(11),
            came,
            consumer,
            stop,
            times: Histogram::new(3).unwrap(),
            seen: Vec::new(),
        };
        // It has its partitions when something comes.
        let first = bench.runtime.block_on(path.came.recv());
        assert!(first.is_some());
        path
    }

    /// Commits so many messages at this rate, and waits until they are consumed.
    async fn round(&mut self, rate: u32, count: usize, counts: bool) {
        let messages = Workload::new(Keys::Uniform).messages(count);
        let mut shares = vec![Vec::new(); WRITERS];
        for message in &messages {
            let key = message.key.as_ref().map_or("", Key::as_str);
            let number: usize = key.trim_start_matches("order-").parse().unwrap();
            shares[number % WRITERS].push(message);
        }
        let interval = Duration::from_secs(1) * u32::try_from(WRITERS).unwrap() / rate;
        let writers = shares.iter().map(|share| self.write(share, interval));
        let committed: HashMap<String, Duration> =
            join_all(writers).await.into_iter().flatten().collect();
        let mut ids = Vec::with_capacity(count);
        let mut left = count;
        while left > 0 {
            let coming = timeout(Duration::from_secs(60), self.came.recv()).await;
            let Came { id, at } = coming.unwrap().unwrap();
            let Some(committed) = committed.get(&id) else {
                continue;
            };
            left -= 1;
            // It may be faster than the answer.
            let micros = u64::try_from(at.saturating_sub(*committed).as_micros()).unwrap();
            if counts {
                self.times.record(micros).unwrap();
            }
            ids.push(id);
        }
        self.seen.push((messages, ids));
    }

    /// Commits one message after the other, after pauses drawn as those of independent customers. When each commit was
    /// answered.
    async fn write(&self, messages: &[&Message], interval: Duration) -> Vec<(String, Duration)> {
        let mut answered = Vec::with_capacity(messages.len());
        let mut next = now();
        for message in messages {
            #[expect(clippy::cast_precision_loss, reason = "53 bits are draw enough")]
            let uniform = (self.draws.random() >> 11) as f64 / (1_u64 << 53) as f64;
            next += interval.mul_f64(-(1.0 - uniform).ln());
            sleep(next.saturating_sub(now())).await;
            let mut tx = self.shop.pool.begin().await.unwrap();
            business(&mut tx, message).await;
            self.shop.outbox.enqueue(&mut tx, message).await.unwrap();
            tx.commit().await.unwrap();
            answered.push((message.id.to_string(), now()));
            self.shop.outbox.notify();
        }
        answered
    }

    fn print(mut self) {
        self.stop.cancel();
        self.consumer.join().unwrap();
        // What came after the last round came twice.
        let mut late = Vec::new();
        while let Ok(Came { id, .. }) = self.came.try_recv() {
            late.push(id);
        }
        let (mut sent, mut came) = (Vec::new(), Vec::new());
        for (messages, ids) in self.seen {
            sent.extend(messages);
            came.extend(ids);
        }
        came.extend(late);
        let times = self.times;
        let at = |quantile| times.value_at_quantile(quantile);
        println!(
            "  {:<32} p50 {} µs, p90 {} µs, p99 {} µs, longest {} µs, of {}",
            self.side,
            at(0.5),
            at(0.9),
            at(0.99),
            times.max(),
            times.len()
        );
        Seen::of(&sent, came.iter().map(String::as_str)).print(self.side);
    }
}

async fn consume(broker: Broker, sender: UnboundedSender<Came>) {
    let joining = broker.consumer("billing").subscribe([Workload::topic()]);
    let mut consumer = joining.await.unwrap();
    loop {
        let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() else {
            continue;
        };
        let at = now();
        for message in deliveries.iter().filter_map(|one| one.content.message()) {
            let id = message.id.to_string();
            // The bench has ended.
            let Ok(()) = sender.send(Came { id, at }) else {
                return;
            };
        }
    }
}

/// Time since some moment that all threads share.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap(),
        u32::try_from(now.tv_nsec).unwrap(),
    )
}
