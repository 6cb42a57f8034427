//! The log in memory.

mod faults;
mod random;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mainstay_messaging::{
    Consumer, Delivery, Group, Headers, Key, Kind, Message, MessageId, Partition, Publisher,
    Source, StartAt, Topic,
    broker::{ConsumerEvent, Content, Raw},
    conformance::{ConsumerFixture, FOREIGN, Fixture, OutageFixture, PublisherFixture},
    memory::{Broker, LogConsumer, LogPublisher},
};

struct MemoryFixture {
    broker: Broker,
}

fn fixture() -> MemoryFixture {
    MemoryFixture {
        broker: Broker::builder()
            .lease(Duration::from_millis(400))
            .revocation_timeout(Duration::from_millis(300))
            .max_message_size(10_000)
            .fetch_bytes(50_000)
            .build(),
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.broker.create_topic(topic, partitions).await.unwrap();
    }
}

#[async_trait]
impl PublisherFixture for MemoryFixture {
    type Publisher = LogPublisher;

    fn publisher(&self) -> LogPublisher {
        self.broker.publisher()
    }

    async fn records(&self, topic: &Topic) -> Vec<Delivery> {
        let mut partitions = self.broker.partitions();
        partitions.retain(|partition| partition.topic == *topic);
        let records = partitions.iter().map(|p| self.broker.records(p, 0));
        records.flatten().collect()
    }

    fn too_large(&self) -> usize {
        10_001
    }
}

#[async_trait]
impl ConsumerFixture for MemoryFixture {
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
        let record = Raw {
            key: None,
            headers: Headers::new(),
            payload: Some(Bytes::from_static(FOREIGN)),
            reason: "no CloudEvents header".to_owned(),
        };
        self.broker.append_raw(partition, record).unwrap();
    }

    async fn lose_records(&self, partition: &Partition, offset: i64) {
        self.broker.truncate(partition, offset);
    }
}

#[async_trait]
impl OutageFixture for MemoryFixture {
    async fn fail(&self) {
        self.broker.faults().outage();
    }

    async fn heal(&self) {
        self.broker.faults().heal();
    }
}

mainstay_messaging::conformance!(paused async { fixture() });
mainstay_messaging::conformance!(outage: paused async { fixture() });

fn message(key: &str, number: usize) -> Message {
    let mut message = Message::with_id(
        MessageId::new(format!("{key}-{number}")).unwrap(),
        Source::from_static("/test"),
        Topic::from_static("orders"),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::new(key).unwrap())
}

fn number_of(delivery: &Delivery) -> usize {
    let Content::Message(message) = &delivery.content else {
        panic!("{delivery:?}");
    };
    let text = str::from_utf8(message.payload.as_deref().unwrap()).unwrap();
    text.parse().unwrap()
}

/// The next records; other events pass by.
async fn deliveries(consumer: &mut LogConsumer) -> Vec<Delivery> {
    let waiting = async {
        loop {
            if let ConsumerEvent::Deliveries(deliveries) = consumer.next().await.unwrap() {
                return deliveries;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), waiting)
        .await
        .unwrap()
}

/// Numbers of everything in the log, read by a group of its own.
async fn stored(broker: &Broker, count: usize) -> Vec<usize> {
    let topics = [Topic::from_static("orders")];
    let mut auditor = broker.consumer("audit").subscribe(&topics).await.unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < count {
        numbers.extend(deliveries(&mut auditor).await.iter().map(number_of));
    }
    let more = tokio::time::timeout(Duration::from_secs(1), deliveries(&mut auditor)).await;
    assert!(more.is_err(), "more than {count}: {more:?}");
    numbers
}

#[tokio::test]
async fn the_log_shows_every_record_from_an_offset_on() {
    let broker = Broker::new();
    let topic = Topic::from_static("orders");
    broker.create_topic(&topic, 2).await.unwrap();
    let messages: Vec<Message> = (0..3).map(|number| message("k", number)).collect();
    broker.publisher().publish(&messages).await;
    let partitions = broker.partitions();
    assert_eq!(partitions.len(), 2);
    let from = |offset| -> Vec<usize> {
        let records = partitions.iter().flat_map(|p| broker.records(p, offset));
        records.map(|delivery| number_of(&delivery)).collect()
    };
    assert_eq!(from(0), [0, 1, 2]);
    assert_eq!(from(2), [2]);
    assert_eq!(from(3), [0_usize; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_away_finds_a_topic_that_was_created_meanwhile_from_its_beginning() {
    let broker = Broker::new();
    let topics = ["orders", "present"].map(Topic::from_static);
    broker.create_topic(&topics[1], 1).await.unwrap();
    let join = async || {
        let joining = broker.consumer("away").start_at(StartAt::Latest);
        joining.subscribe(&topics).await.unwrap()
    };
    let mut away = join().await;
    let ConsumerEvent::Assigned(held) = away.next().await.unwrap() else {
        panic!("no assignment");
    };
    away.release(&[held[0].partition.clone()]).await.unwrap();
    broker.create_topic(&topics[0], 1).await.unwrap();
    let messages: Vec<Message> = (0..3).map(|number| message("k", number)).collect();
    broker.publisher().publish(&messages).await;
    assert_eq!(deliveries(&mut join().await).await.len(), 3);
}
