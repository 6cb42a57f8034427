//! The log in a SQLite file.

mod processes;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{BootId, Clock, Monotonic, SystemClock};
use mainstay_database::{Transactions as _, sqlite::Database};
use mainstay_messaging::{
    Consumer, Content, Group, Incoming, Key, Kind, Message, MessageId, Partition, Publisher,
    Source, StartAt, Topic,
    conformance::{FOREIGN, Fixture},
    sqlite::{Broker, LogConsumer, LogPublisher, Options},
};

struct SqliteFixture {
    broker: Broker,
    database: Database,
    _directory: tempfile::TempDir,
}

async fn fixture() -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("broker.db"))
        .await
        .unwrap();
    let mut options = Options::default();
    options.lease = Duration::from_millis(1_000); // a busy machine may stall for a while
    options.revocation = Duration::from_millis(500);
    options.max_message_size = 10_000;
    options.fetch_bytes = 50_000;
    let broker = Broker::open(database.clone(), options).await.unwrap();
    SqliteFixture {
        broker,
        database,
        _directory: directory,
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    type Publisher = LogPublisher;
    type Consumer = LogConsumer;

    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.broker.create_topic(topic, partitions).await.unwrap();
    }

    fn publisher(&self) -> LogPublisher {
        self.broker.publisher()
    }

    fn consumer(&self, group: &Group, topics: &[Topic], start_at: StartAt) -> LogConsumer {
        self.broker.consumer(group.clone(), topics, start_at)
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

    fn too_large(&self) -> usize {
        10_001
    }
}

mainstay_messaging::conformance!(fixture());

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

async fn next_deliveries(consumer: &mut LogConsumer) -> Vec<mainstay_messaging::Delivery> {
    let waiting = async {
        loop {
            if let Incoming::Deliveries(deliveries) = consumer.next().await.unwrap() {
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
    // Connections and doorbell of its own: what another process has.
    let other = Broker::open(
        Database::open(f.database.path()).await.unwrap(),
        Options::default(),
    )
    .await
    .unwrap();
    let mut consumer = other.consumer(Group::from_static("g"), &[topic], StartAt::Earliest);
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
async fn a_damaged_or_newer_record_is_kept_raw_and_stops_nothing() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    publish(&f.broker, 0..3).await;
    let mut tx = f.database.begin().await.unwrap();
    for (offset, envelope) in [
        (0, "{"),
        (
            1,
            r#"{"id":"1","source":"s","kind":"K","version":1,"format":9}"#,
        ),
    ] {
        sqlx::query("UPDATE broker_records SET envelope = $1 WHERE id & 0xffffffffff = $2")
            .bind(envelope)
            .bind(offset)
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    f.database.commit(tx).await.unwrap();
    let mut consumer = f
        .broker
        .consumer(Group::from_static("g"), &[topic], StartAt::Earliest);
    let deliveries = next_deliveries(&mut consumer).await;
    let [
        Content::Raw(damaged),
        Content::Raw(newer),
        Content::Message(good),
    ] = [0, 1, 2].map(|i| &deliveries[i].content)
    else {
        panic!("{deliveries:?}");
    };
    assert_eq!(damaged.headers.get("envelope").unwrap(), "{");
    assert_eq!(damaged.payload.as_ref().unwrap(), "0");
    assert!(newer.reason.contains("format 9"), "{}", newer.reason);
    assert_eq!(good.id.as_str(), "2");
}

#[tokio::test]
async fn a_record_that_is_no_text_is_kept_raw_with_its_bytes_and_its_key() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    publish(&f.broker, 0..3).await;
    let mut tx = f.database.begin().await.unwrap();
    for damage in [
        "UPDATE broker_records SET envelope = CAST(x'7bff' AS TEXT) WHERE id & 0xffffffffff = 0",
        "UPDATE broker_records SET key = CAST(x'fe6b' AS TEXT) WHERE id & 0xffffffffff = 1",
    ] {
        sqlx::query(damage).execute(&mut *tx).await.unwrap();
    }
    f.database.commit(tx).await.unwrap();
    let mut consumer = f
        .broker
        .consumer(Group::from_static("g"), &[topic], StartAt::Earliest);
    let deliveries = next_deliveries(&mut consumer).await;
    let [
        Content::Raw(envelope),
        Content::Raw(key),
        Content::Message(_),
    ] = [0, 1, 2].map(|i| &deliveries[i].content)
    else {
        panic!("{deliveries:?}");
    };
    assert_eq!(envelope.headers.get("envelope").unwrap(), &b"{\xff"[..]);
    assert_eq!(envelope.key.as_ref().unwrap(), "k");
    assert_eq!(envelope.payload.as_ref().unwrap(), "0");
    assert_eq!(key.key.as_ref().unwrap(), &b"\xfek"[..]);
    assert_eq!(key.payload.as_ref().unwrap(), "1");
}

#[tokio::test]
async fn a_sweep_removes_only_what_every_group_has_finished() {
    let f = fixture().await;
    let topic = Topic::from_static(TOPIC);
    f.broker.create_topic(&topic, 1).await.unwrap();
    publish(&f.broker, 0..5).await;
    assert_eq!(
        f.broker.sweep(Duration::ZERO, 100).await.unwrap(),
        0,
        "nobody has read it"
    );
    let mut fast = f.broker.consumer(
        Group::from_static("fast"),
        std::slice::from_ref(&topic),
        StartAt::Earliest,
    );
    let mut slow = f.broker.consumer(
        Group::from_static("slow"),
        std::slice::from_ref(&topic),
        StartAt::Earliest,
    );
    for (consumer, finished) in [(&mut fast, 5), (&mut slow, 2)] {
        let mut position = next_deliveries(consumer).await[0].position.clone();
        position.offset = finished;
        consumer.commit(&[position]).await.unwrap();
    }
    assert_eq!(
        f.broker
            .sweep(Duration::from_secs(3600), 100)
            .await
            .unwrap(),
        0,
        "too young"
    );
    assert_eq!(f.broker.sweep(Duration::MAX, 100).await.unwrap(), 0);
    assert_eq!(f.broker.sweep(Duration::ZERO, 100).await.unwrap(), 2);
    publish(&f.broker, 5..6).await;
    let progress = f
        .broker
        .progress(&Group::from_static("slow"))
        .await
        .unwrap();
    assert_eq!((progress[0].1, progress[0].2), (2, 6));
}

#[tokio::test]
async fn a_hole_in_the_log_is_told_however_long_it_is_and_whatever_else_flows() {
    for hole in [1, 5, 6, 12] {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("broker.db"))
            .await
            .unwrap();
        let mut options = Options::default();
        options.lease = Duration::from_millis(300);
        options.fetch_records = 5;
        let broker = Broker::open(database.clone(), options).await.unwrap();
        let topics = [TOPIC, "other"].map(Topic::from_static);
        for topic in &topics {
            broker.create_topic(topic, 1).await.unwrap();
        }
        publish(&broker, 0..20).await;
        let mut tx = database.begin().await.unwrap();
        sqlx::query("DELETE FROM broker_records WHERE id & 0xffffffffff BETWEEN 5 AND 4 + $1")
            .bind(hole)
            .execute(&mut *tx)
            .await
            .unwrap();
        database.commit(tx).await.unwrap();
        let mut consumer = broker.consumer(Group::from_static("g"), &topics, StartAt::Earliest);
        let mut number = 20;
        let error = async {
            loop {
                match consumer.next().await {
                    Ok(Incoming::Deliveries(_)) => {
                        // The other topic has always something to deliver.
                        let mut message = message(number);
                        message.topic = topics[1].clone();
                        number += 1;
                        for answer in broker.publisher().publish(&[message]).await {
                            assert!(answer.is_acknowledged(), "{answer:?}");
                        }
                    }
                    Ok(_) => {}
                    Err(error) => return error,
                }
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(5), error).await;
        let error = error.unwrap_or_else(|_| panic!("a hole of {hole} is passed over in silence"));
        assert!(!error.is_retryable(), "{error:?}");
    }
}

/// A wall clock that can be set.
#[derive(Debug)]
struct WallClock(std::sync::Mutex<std::time::SystemTime>);

impl Clock for WallClock {
    fn now(&self) -> std::time::SystemTime {
        *self.0.lock().unwrap()
    }
    fn monotonic(&self) -> Monotonic {
        SystemClock::new().monotonic()
    }
    fn boot_id(&self) -> BootId {
        SystemClock::new().boot_id()
    }
}

#[tokio::test]
async fn a_sweep_leaves_no_hole_when_the_wall_clock_went_back() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("broker.db"))
        .await
        .unwrap();
    let noon = SystemClock::new().now();
    let clock = Arc::new(WallClock(std::sync::Mutex::new(noon)));
    let mut options = Options::default();
    options.clock = Arc::<WallClock>::clone(&clock);
    let broker = Broker::open(database, options).await.unwrap();
    let topic = Topic::from_static(TOPIC);
    broker.create_topic(&topic, 1).await.unwrap();
    publish(&broker, 0..3).await;
    *clock.0.lock().unwrap() = noon.checked_sub(Duration::from_secs(7200)).unwrap();
    publish(&broker, 3..6).await; // looks two hours older than what lies before it
    *clock.0.lock().unwrap() = noon + Duration::from_secs(60);
    let topics = [topic];
    let mut consumer = broker.consumer(Group::from_static("g"), &topics, StartAt::Earliest);
    let mut position = next_deliveries(&mut consumer).await[0].position.clone();
    position.offset = 6;
    consumer.commit(&[position]).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(broker.sweep(hour, 100).await.unwrap(), 0);
    let mut fresh = broker.consumer(Group::from_static("fresh"), &topics, StartAt::Earliest);
    assert_eq!(next_deliveries(&mut fresh).await.len(), 6);
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
                let broker =
                    Broker::open(Database::open(&*path).await.unwrap(), Options::default())
                        .await
                        .unwrap();
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
    let mut consumer = f
        .broker
        .consumer(Group::from_static("g"), &[topic], StartAt::Earliest);
    let mut deliveries = Vec::new();
    while deliveries.len() < 200 {
        deliveries.extend(next_deliveries(&mut consumer).await);
    }
    let offsets: Vec<i64> = deliveries.iter().map(|d| d.position.offset).collect();
    assert_eq!(offsets, (0..200).collect::<Vec<_>>());
}
