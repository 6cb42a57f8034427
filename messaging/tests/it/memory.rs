//! The log in memory.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mainstay_messaging::{
    Group, Headers, Partition, Raw, StartAt, Topic,
    conformance::{FOREIGN, Fixture},
    memory::{Broker, LogConsumer, LogPublisher, Options},
};

struct MemoryFixture {
    broker: Broker,
}

fn fixture() -> MemoryFixture {
    let mut options = Options::default();
    options.lease = Duration::from_millis(400);
    options.revocation = Duration::from_millis(300);
    options.max_message_size = 10_000;
    options.fetch_bytes = 50_000;
    MemoryFixture {
        broker: Broker::new(options),
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
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

    fn too_large(&self) -> usize {
        10_001
    }
}

mainstay_messaging::conformance!(paused async { fixture() });
