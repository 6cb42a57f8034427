//! From PostgreSQL to Kafka, beside a loop by hand and a producer alone, on the servers of `MAINSTAY_POSTGRES_URL` and
//! `MAINSTAY_KAFKA_URL`. Each run counts what was lost, what came twice, and what came out of order.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first error, and says what it saw"
)]

#[path = "kafka/by_hand.rs"]
mod by_hand;
#[path = "postgres/shop.rs"]
#[expect(dead_code, reason = "other benches use the rest of it")]
mod shop;
#[path = "kafka/topic.rs"]
mod topic;

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use by_hand::{Raw, headers, move_batch};
use mainstay_benches::{Bench, Comparison, Keys, Side, Took, Workload, timed};
use mainstay_messaging::{
    Key, Message, Publisher, broker::PublishOutcome, cloudevents, kafka::LogPublisher,
};
use mainstay_outbox::{Entry, Outbox as _, Relay};
use mainstay_testkit::{kafka, postgres};
use shop::Shop;
use tokio_util::sync::CancellationToken;
use topic::NewTopic;

const BY_HAND: &str = "SELECT, produce, DELETE by hand";
const ALONE: &str = "producer alone";

/// As many as the relay's largest batch that is compared.
const BATCH: u32 = 1_000;

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
    for keys in [Keys::Uniform, Keys::Hot] {
        drain(&bench, &postgres, &kafka, keys);
    }
}

fn drain(bench: &Bench, postgres: &postgres::Server, kafka: &kafka::Server, keys: Keys) {
    let name = format!("PostgreSQL to Kafka: a backlog in batches of {BATCH}, {keys:?} keys");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand] = [(); 2].map(|()| Shop::new(bench, postgres, 4));
    let messages = Workload::new(keys).messages(bench.scaled(100_000));
    let topic = || NewTopic::create(bench, kafka);
    let mut sides = [
        Side::new("relay", || {
            fill(bench, &ours, &messages);
            let to = topic();
            let all = CancellationToken::new();
            let publisher = Counting {
                publisher: to.broker.publisher(),
                left: AtomicUsize::new(messages.len()),
                all: all.clone(),
            };
            NewTopic::warm_up(bench, &publisher.publisher);
            let relay = Relay::new(ours.outbox.clone(), publisher)
                .batch_size(BATCH)
                .batch_bytes(64 << 20);
            let draining = relay.run_until(all.cancelled_owned());
            let took = timed(|| bench.runtime.block_on(draining).unwrap());
            to.check(bench, "relay", &messages);
            took
        }),
        Side::new(BY_HAND, || {
            fill(bench, &by_hand, &messages);
            let to = topic();
            let producer = Raw::new(kafka);
            NewTopic::warm_up(bench, &to.broker.publisher());
            producer.warm_up(bench, &to.full);
            let draining = drain_by_hand(&by_hand, &producer, &to.full, messages.len());
            let took = timed(|| bench.runtime.block_on(draining));
            to.check(bench, BY_HAND, &messages);
            took
        }),
        Side::new(ALONE, || {
            let to = topic();
            let producer = Raw::new(kafka);
            producer.warm_up(bench, &to.full);
            produce_all(bench, &producer, &to.full, &messages)
        }),
    ];
    let comparison = Comparison::new(name, messages.len())
        .rounds(5)
        .target(BY_HAND, 1.5);
    bench.compare(&comparison, &mut sides);
}

/// Says when everything is acknowledged.
struct Counting {
    publisher: LogPublisher,
    left: AtomicUsize,
    all: CancellationToken,
}

#[async_trait]
impl Publisher for Counting {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let outcomes = self.publisher.publish(messages).await;
        let acknowledged = outcomes.iter().filter(|o| o.is_acknowledged()).count();
        if self.left.fetch_sub(acknowledged, Ordering::Relaxed) <= acknowledged {
            self.all.cancel();
        }
        outcomes
    }
}

fn fill(bench: &Bench, shop: &Shop, messages: &[Message]) {
    bench.runtime.block_on(async {
        sqlx::query("TRUNCATE outbox")
            .execute(&shop.pool)
            .await
            .unwrap();
        for batch in messages.chunks(1_000) {
            let entries: Vec<Entry<'_>> = batch.iter().map(Entry::new).collect();
            let mut tx = shop.pool.begin().await.unwrap();
            shop.outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
}

async fn drain_by_hand(shop: &Shop, producer: &Raw, topic: &str, expected: usize) {
    let mut seen = 0;
    while seen < expected {
        seen += move_batch(&shop.pool, producer, topic, BATCH).await;
    }
}

fn produce_all(bench: &Bench, producer: &Raw, topic: &str, messages: &[Message]) -> Took {
    timed(|| {
        for message in messages {
            let key = message.key.as_ref().map_or("", Key::as_str);
            let payload = message.payload.as_deref().unwrap_or_default();
            producer.send(topic, key, payload, headers(&cloudevents::write(message)));
        }
        bench.runtime.block_on(producer.answered());
    })
}
