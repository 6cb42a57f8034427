//! From PostgreSQL to Kafka, beside a loop by hand and a producer alone, on the servers of `MAINSTAY_POSTGRES_URL` and
//! `MAINSTAY_KAFKA_URL`. Each run counts what was lost, what came twice, and what came out of order.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench stops at the first error, and says what it saw"
)]

#[path = "postgres/shop.rs"]
#[expect(dead_code, reason = "other benches use the rest of it")]
mod shop;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mainstay_benches::{Bench, Comparison, Keys, Side, Took, Workload, timed};
use mainstay_messaging::{
    Key, Message, Publisher, Topic,
    broker::PublishOutcome,
    cloudevents,
    kafka::{
        Broker, LogPublisher,
        rdkafka::{
            ClientConfig, ClientContext,
            config::FromClientConfigAndContext as _,
            message::{DeliveryResult, Header, OwnedHeaders},
            producer::{BaseRecord, ProducerContext, ThreadedProducer},
        },
    },
};
use mainstay_outbox::{Entry, Outbox as _, Relay};
use mainstay_testkit::{kafka, postgres};
use shop::Shop;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

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

/// A topic of six partitions that only one run uses.
struct NewTopic {
    broker: Broker,
    full: String,
}

impl NewTopic {
    fn create(bench: &Bench, kafka: &kafka::Server) -> Self {
        let namespace = format!("{}.", kafka.prefix());
        let opening = Broker::builder(kafka.url()).namespace(&namespace).open();
        let broker = bench.runtime.block_on(opening).unwrap();
        let topic = Workload::topic();
        bench
            .runtime
            .block_on(broker.create_topic(&topic, 6))
            .unwrap();
        Self {
            broker,
            full: format!("{namespace}{topic}"),
        }
    }

    /// The first calls of a client look the topic up. A key for each partition.
    fn warm_up(bench: &Bench, publisher: &LogPublisher) {
        let messages: Vec<Message> = (0..100)
            .map(|number| {
                let message = Message::builder()
                    .source("/warm-up")
                    .topic(Workload::topic())
                    .kind("Nothing")
                    .key(format!("warm-up-{number}"));
                message.build().unwrap()
            })
            .collect();
        for outcome in bench.runtime.block_on(publisher.publish(&messages)) {
            assert!(outcome.is_acknowledged(), "{outcome:?}");
        }
    }

    /// Reads everything back.
    fn check(&self, bench: &Bench, side: &str, sent: &[Message]) {
        let read = bench.runtime.block_on(async {
            let mut reader = self.broker.read([Workload::topic()]).await.unwrap();
            let mut read = Vec::new();
            while let Some(deliveries) = reader.next().await.unwrap() {
                read.extend(deliveries);
            }
            read
        });
        let place: HashMap<&str, usize> = sent
            .iter()
            .enumerate()
            .map(|(place, message)| (message.id.as_str(), place))
            .collect();
        let (mut seen, mut twice, mut disorder) = (HashSet::new(), 0, 0);
        let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
        for message in read
            .iter()
            .filter_map(|delivery| delivery.content.message())
        {
            let Some(place) = place.get(message.id.as_str()) else {
                continue;
            };
            if !seen.insert(*place) {
                twice += 1;
                continue;
            }
            let key = message.key.as_ref().map_or("", Key::as_str);
            if newest.insert(key, *place).is_some_and(|last| last > *place) {
                disorder += 1;
            }
        }
        let lost = sent.len() - seen.len();
        println!("    {side}: {lost} lost, {twice} twice, {disorder} out of order");
        assert_eq!((lost, disorder), (0, 0), "{side}");
    }
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

/// The driver with the same guarantees: idempotent, acknowledged by all replicas.
struct Raw(ThreadedProducer<Open>);

/// Messages without an answer.
#[derive(Clone, Default)]
struct Open(Arc<(AtomicUsize, Notify)>);

impl ClientContext for Open {}

impl ProducerContext for Open {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        assert!(delivered.is_ok(), "a message was not delivered");
        let Self(open) = self;
        if open.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            open.1.notify_one();
        }
    }
}

impl Raw {
    fn new(kafka: &kafka::Server) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", kafka.url())
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", "1000000");
        Self(ThreadedProducer::from_config_and_context(&config, Open::default()).unwrap())
    }

    fn open(&self) -> &(AtomicUsize, Notify) {
        use mainstay_messaging::kafka::rdkafka::producer::Producer as _;
        &self.0.context().0
    }

    fn send(&self, topic: &str, key: &str, payload: &[u8], headers: OwnedHeaders) {
        self.open().0.fetch_add(1, Ordering::AcqRel);
        let record = BaseRecord::to(topic)
            .key(key)
            .payload(payload)
            .headers(headers);
        assert!(self.0.send(record).is_ok(), "the queue is full");
    }

    async fn answered(&self) {
        while self.open().0.load(Ordering::Acquire) > 0 {
            // A notification may come from an earlier zero.
            let waiting = tokio::time::timeout(Duration::from_secs(60), self.open().1.notified());
            waiting.await.unwrap();
        }
    }

    fn warm_up(&self, bench: &Bench, topic: &str) {
        for number in 0..100 {
            self.send(
                topic,
                &format!("warm-up-{number}"),
                b"",
                OwnedHeaders::new(),
            );
        }
        bench.runtime.block_on(self.answered());
    }
}

fn headers(pairs: &mainstay_messaging::Headers) -> OwnedHeaders {
    pairs
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(&**value),
            })
        })
}

/// Position, topic, key, envelope, payload.
type Row = (i64, String, Option<String>, String, Option<Vec<u8>>);

async fn drain_by_hand(shop: &Shop, producer: &Raw, topic: &str, expected: usize) {
    let mut seen = 0;
    while seen < expected {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT position, topic, key, envelope, payload FROM outbox ORDER BY position LIMIT $1",
        )
        .bind(i64::from(BATCH))
        .fetch_all(&shop.pool)
        .await
        .unwrap();
        let mut positions = Vec::with_capacity(rows.len());
        for (position, plain, key, text, payload) in rows {
            let plain = Topic::new(plain).unwrap();
            let key = key.map(|key| Key::new(key).unwrap());
            let payload = payload.map(Into::into);
            let message = mainstay_messaging::envelope::read(&text, plain, key, payload).unwrap();
            let key = message.key.as_ref().map_or("", Key::as_str);
            let payload = message.payload.as_deref().unwrap_or_default();
            producer.send(topic, key, payload, headers(&cloudevents::write(&message)));
            positions.push(position);
        }
        producer.answered().await;
        sqlx::query("DELETE FROM outbox WHERE position = ANY ($1)")
            .bind(&positions)
            .execute(&shop.pool)
            .await
            .unwrap();
        seen += positions.len();
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
