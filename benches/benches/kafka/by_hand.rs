//! What one writes without the library: the same driver with the same guarantees.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_benches::Bench;
use mainstay_messaging::{
    Key, Topic, cloudevents,
    kafka::rdkafka::{
        ClientConfig, ClientContext,
        config::FromClientConfigAndContext as _,
        message::{DeliveryResult, Header, OwnedHeaders},
        producer::{BaseRecord, ProducerContext, ThreadedProducer},
    },
};
use mainstay_testkit::kafka;
use sqlx::PgPool;
use tokio::sync::Notify;

/// The driver with the same guarantees: idempotent, acknowledged by all replicas.
pub(crate) struct Raw(ThreadedProducer<Open>);

/// Messages without an answer.
#[derive(Clone, Default)]
pub(crate) struct Open(Arc<(AtomicUsize, Notify)>);

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
    pub(crate) fn new(kafka: &kafka::Server) -> Self {
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

    pub(crate) fn send(&self, topic: &str, key: &str, payload: &[u8], headers: OwnedHeaders) {
        self.open().0.fetch_add(1, Ordering::AcqRel);
        let record = BaseRecord::to(topic)
            .key(key)
            .payload(payload)
            .headers(headers);
        assert!(self.0.send(record).is_ok(), "the queue is full");
    }

    pub(crate) async fn answered(&self) {
        while self.open().0.load(Ordering::Acquire) > 0 {
            // A notification may come from an earlier zero.
            let waiting = tokio::time::timeout(Duration::from_secs(60), self.open().1.notified());
            waiting.await.unwrap();
        }
    }

    pub(crate) fn warm_up(&self, bench: &Bench, topic: &str) {
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

pub(crate) fn headers(pairs: &mainstay_messaging::Headers) -> OwnedHeaders {
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

/// Takes a batch of the only shard, by the index, produces it and deletes it; how many rows that were.
pub(crate) async fn move_batch(pool: &PgPool, producer: &Raw, topic: &str, batch: u32) -> usize {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT position, topic, key, envelope, payload FROM outbox WHERE shard = 0 ORDER BY position LIMIT $1",
    )
    .bind(i64::from(batch))
    .fetch_all(pool)
    .await
    .unwrap();
    if rows.is_empty() {
        return 0;
    }
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
    sqlx::query("DELETE FROM outbox WHERE shard = 0 AND position = ANY ($1)")
        .bind(&positions)
        .execute(pool)
        .await
        .unwrap();
    positions.len()
}
