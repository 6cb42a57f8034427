//! The log in memory.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_messaging::{
    Group, StartAt, Topic,
    conformance::Fixture,
    memory::{Broker, LogConsumer, LogPublisher, Options},
};

struct MemoryFixture {
    broker: Broker,
}

fn fixture() -> MemoryFixture {
    let mut options = Options::default();
    options.lease = Duration::from_millis(400);
    options.max_message_size = 10_000;
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

    fn consumer(&self, group: &Group, topic: &Topic, start_at: StartAt) -> LogConsumer {
        self.broker
            .consumer(group.clone(), std::slice::from_ref(topic), start_at)
    }

    fn too_large(&self) -> usize {
        10_001
    }
}

mainstay_messaging::conformance!(paused async { fixture() });
