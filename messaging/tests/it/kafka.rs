//! Apache Kafka.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_clock::{IdGenerator as _, SystemIds};
use mainstay_messaging::{
    Delivery, Group, Message, Partition, Publisher, StartAt, Topic,
    conformance::{ConsumerFixture, FOREIGN, Fixture, PublisherFixture},
    kafka::{
        Broker, Builder, LogConsumer, LogPublisher,
        rdkafka::{
            ClientConfig, Offset, TopicPartitionList,
            admin::{AdminClient, AdminOptions},
            client::DefaultClientContext,
            producer::{BaseProducer, BaseRecord, Producer as _},
        },
    },
};

/// The servers to test with.
fn servers() -> Option<String> {
    std::env::var("MAINSTAY_KAFKA_URL").ok()
}

struct KafkaFixture {
    broker: Broker,
    servers: String,
    namespace: String,
}

/// Short leases, and a part of the cluster of its own.
fn builder(servers: &str, namespace: &str) -> Builder {
    Broker::builder(servers)
        .namespace(namespace)
        .session_timeout(Duration::from_millis(600))
        .heartbeat_interval(Duration::from_millis(100))
        .revocation_timeout(Duration::from_millis(400))
        .fetch_bytes(50_000)
        .setting("topic.metadata.refresh.interval.ms", "500")
}

async fn fixture() -> KafkaFixture {
    let servers = servers().expect("MAINSTAY_KAFKA_URL");
    let namespace = format!("{}.", SystemIds::new().uuid());
    let broker = builder(&servers, &namespace).open().await.unwrap();
    KafkaFixture {
        broker,
        servers,
        namespace,
    }
}

impl KafkaFixture {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }
}

#[async_trait]
impl Fixture for KafkaFixture {
    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.broker.create_topic(topic, partitions).await.unwrap();
    }
}

#[async_trait]
impl PublisherFixture for KafkaFixture {
    type Publisher = LogPublisher;

    fn publisher(&self) -> LogPublisher {
        self.broker.publisher()
    }

    async fn records(&self, topic: &Topic) -> Vec<Delivery> {
        let mut reader = self.broker.read([topic]).await.unwrap();
        let mut records = Vec::new();
        while let Some(more) = reader.next().await.unwrap() {
            records.extend(more);
        }
        records
    }

    fn too_large(&self) -> usize {
        2_000_000
    }
}

#[async_trait]
impl ConsumerFixture for KafkaFixture {
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
        let producer: BaseProducer = self.config().create().unwrap();
        let topic = format!("{}{}", self.namespace, partition.topic);
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition.number);
        producer.send(record.payload(FOREIGN)).unwrap();
        producer.flush(Duration::from_secs(10)).unwrap();
    }

    async fn lose_records(&self, partition: &Partition, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = format!("{}{}", self.namespace, partition.topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, partition.number, Offset::Offset(offset))
            .unwrap();
        admin
            .delete_records(&list, &AdminOptions::new())
            .await
            .unwrap();
    }
}

mainstay_messaging::conformance!(fixture());
