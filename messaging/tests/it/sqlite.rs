//! The log in a SQLite file.

mod identity;
mod paths;
mod processes;
mod raw;
mod retention;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{BootId, Clock, Monotonic, SystemClock};
use mainstay_database::sqlite::{Database, Transaction};
use mainstay_messaging::{
    Consumer, Delivery, Group, Key, Kind, Message, MessageId, Partition, Publisher, Source,
    StartAt, Topic,
    broker::{ConsumerEvent, Content},
    conformance::{ConsumerFixture, FOREIGN, Fixture, OutageFixture, PublisherFixture},
    sqlite::{Broker, LogConsumer, LogPublisher},
};
use tokio::sync::Mutex;

struct SqliteFixture {
    broker: Broker,
    database: Database,
    /// Open during an outage.
    writing: Mutex<Option<Transaction>>,
    _directory: tempfile::TempDir,
}

async fn fixture() -> SqliteFixture {
    fixture_with(Duration::from_secs(10)).await
}

async fn fixture_with(busy_timeout: Duration) -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::builder(directory.path().join("broker.db"))
        .busy_timeout(busy_timeout)
        .open()
        .await
        .unwrap();
    let broker = Broker::builder_on(database.clone())
        .lease(Duration::from_millis(1_000))
        .revocation_timeout(Duration::from_millis(500))
        .max_message_size(10_000)
        .fetch_bytes(50_000)
        .open()
        .await
        .unwrap();
    SqliteFixture {
        broker,
        database,
        writing: Mutex::default(),
        _directory: directory,
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.broker.create_topic(topic, partitions).await.unwrap();
    }
}

#[async_trait]
impl PublisherFixture for SqliteFixture {
    type Publisher = LogPublisher;

    fn publisher(&self) -> LogPublisher {
        self.broker.publisher()
    }

    async fn records(&self, topic: &Topic) -> Vec<Delivery> {
        let group = Group::new(format!("records of {topic}")).unwrap();
        let mut reader = self
            .broker
            .consumer(&group)
            .subscribe([topic])
            .await
            .unwrap();
        while !matches!(reader.next().await.unwrap(), ConsumerEvent::Assigned(_)) {}
        let progress = self.broker.progress(&group).await.unwrap();
        let count: i64 = progress.iter().map(|(_, _, next)| next).sum();
        let mut records = Vec::new();
        while records.len() < usize::try_from(count).unwrap() {
            records.extend(next_deliveries(&mut reader).await);
        }
        records
    }

    fn too_large(&self) -> usize {
        10_001
    }
}

#[async_trait]
impl ConsumerFixture for SqliteFixture {
    type Consumer = LogConsumer;

    async fn consumer(&self, group: &Group, topics: &[Topic], start_at: StartAt) -> LogConsumer {
        let joining = self.broker.consumer(group).start_at(start_at);
        joining.subscribe(topics).await.unwrap()
    }

    async fn append(&self, messages: &[Message]) {
        for outcome in self.broker.publisher().publish(messages).await {
            assert!(outcome.is_acknowledged(), "{outcome:?}");
        }
    }

    async fn append_foreign(&self, partition: &Partition) {
        let mut tx = self.database.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO broker_records (id, envelope, payload, appended_at)
             SELECT (id << 40) + next_offset, 'what is this?', $3, 0 FROM broker_partitions
             WHERE topic = $1 AND number = $2",
        )
        .bind(partition.topic.as_str())
        .bind(partition.number)
        .bind(FOREIGN)
        .execute(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "UPDATE broker_partitions SET next_offset = next_offset + 1 WHERE topic = $1 AND number = $2",
        )
        .bind(partition.topic.as_str())
        .bind(partition.number)
        .execute(&mut *tx)
        .await
        .unwrap();
        self.database.commit(tx).await.unwrap();
    }

    async fn lose_records(&self, partition: &Partition, offset: i64) {
        let mut tx = self.database.begin().await.unwrap();
        sqlx::query(
            "DELETE FROM broker_records WHERE id IN
             (SELECT r.id FROM broker_partitions p JOIN broker_records r ON r.id >> 40 = p.id
              WHERE topic = $1 AND number = $2 AND r.id & 0xffffffffff < $3)",
        )
        .bind(partition.topic.as_str())
        .bind(partition.number)
        .bind(offset)
        .execute(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "UPDATE broker_partitions SET first_offset = $3 WHERE topic = $1 AND number = $2",
        )
        .bind(partition.topic.as_str())
        .bind(partition.number)
        .bind(offset)
        .execute(&mut *tx)
        .await
        .unwrap();
        self.database.commit(tx).await.unwrap();
    }
}

/// Another process keeps the file busy.
#[async_trait]
impl OutageFixture for SqliteFixture {
    async fn fail(&self) {
        let other = Database::open(self.database.path()).await.unwrap();
        let writing = other.begin().await.unwrap();
        *self.writing.lock().await = Some(writing);
    }

    async fn heal(&self) {
        *self.writing.lock().await = None;
        // The connection rolls back in its own time.
        let patient = Database::open(self.database.path()).await.unwrap();
        drop(patient.begin().await.unwrap());
    }
}

mainstay_messaging::conformance!(fixture());
mainstay_messaging::conformance!(outage: fixture_with(Duration::from_millis(100)));

const TOPIC: &str = "orders";

fn message(number: usize) -> Message {
    let mut message = Message::with_id(
        MessageId::new(number.to_string()).unwrap(),
        Source::from_static("/test"),
        Topic::from_static(TOPIC),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::from_static("k"))
}

async fn publish(broker: &Broker, numbers: std::ops::Range<usize>) {
    let messages: Vec<_> = numbers.map(message).collect();
    for answer in broker.publisher().publish(&messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
}

async fn next_deliveries(consumer: &mut LogConsumer) -> Vec<Delivery> {
    let waiting = async {
        loop {
            if let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() {
                return deliveries;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_second_handle_on_the_file_sees_what_the_first_appends() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    // Connections and notifier of its own: what another process has.
    let other = Broker::open(f.database.path()).await.unwrap();
    let mut consumer = other.consumer("g").subscribe([topic]).await.unwrap();
    publish(&f.broker, 0..3).await;
    assert_eq!(next_deliveries(&mut consumer).await.len(), 3);
    publish(&other, 3..5).await;
    publish(&f.broker, 5..6).await;
    let mut offsets: Vec<i64> = Vec::new();
    while offsets.len() < 3 {
        offsets.extend(
            next_deliveries(&mut consumer)
                .await
                .iter()
                .map(|d| d.position.offset),
        );
    }
    assert_eq!(offsets, [3, 4, 5]);
}

#[tokio::test]
async fn all_consumers_of_a_broker_see_what_another_process_appends_before_a_renewal() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    // No lease is renewed while the test runs.
    let other = Broker::builder(f.database.path()).lease(Duration::from_hours(1));
    let other = other.open().await.unwrap();
    let mut consumers = Vec::new();
    for group in ["a", "b"] {
        consumers.push(other.consumer(group).subscribe([TOPIC]).await.unwrap());
    }
    for number in 0..2 {
        publish(&f.broker, number..number + 1).await;
        for consumer in &mut consumers {
            assert_eq!(next_deliveries(consumer).await.len(), 1);
        }
    }
}

#[tokio::test]
async fn concurrent_appends_of_many_handles_leave_no_gap_and_no_double() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    let path: Arc<std::path::Path> = f.database.path().into();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let path = Arc::clone(&path);
            tokio::spawn(async move {
                let broker = Broker::open(&*path).await.unwrap();
                for batch in 0..10 {
                    let from = (writer * 10 + batch) * 5;
                    publish(&broker, from..from + 5).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut consumer = f.broker.consumer("g").subscribe([topic]).await.unwrap();
    let mut deliveries = Vec::new();
    while deliveries.len() < 200 {
        deliveries.extend(next_deliveries(&mut consumer).await);
    }
    let offsets: Vec<i64> = deliveries.iter().map(|d| d.position.offset).collect();
    assert_eq!(offsets, (0..200).collect::<Vec<_>>());
}
