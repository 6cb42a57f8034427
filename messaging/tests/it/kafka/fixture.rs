//! A part of a cluster for one test.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{Clock as _, IdGenerator as _, SystemClock, SystemIds};
use mainstay_messaging::{
    Consumer, Delivery, Group, Key, Kind, Message, MessageId, Partition, Publisher, Source,
    StartAt, Topic,
    broker::{Assignment, ConsumerEvent},
    conformance::{ConsumerFixture, FOREIGN, Fixture, OutageFixture, PublisherFixture},
    kafka::{
        Broker, Builder, LogConsumer, LogPublisher,
        rdkafka::{
            ClientConfig, Offset, TopicPartitionList,
            admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
            client::DefaultClientContext,
            consumer::{BaseConsumer, Consumer as _},
            message::OwnedHeaders,
            producer::{BaseProducer, BaseRecord, Producer as _},
        },
    },
};

use super::mock::Mock;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct KafkaFixture {
    pub(super) broker: Broker,
    pub(super) servers: String,
    pub(super) namespace: String,
    pub(super) mock: Option<Arc<Mock>>,
}

/// Short leases, and a part of the cluster of its own.
pub(super) fn builder(servers: &str, namespace: &str) -> Builder {
    Broker::builder(servers)
        .namespace(namespace)
        .session_timeout(Duration::from_secs(1))
        .heartbeat_interval(Duration::from_millis(150))
        .revocation_timeout(Duration::from_millis(500))
        .fetch_bytes(50_000)
        .setting("topic.metadata.refresh.interval.ms", "500")
}

impl KafkaFixture {
    pub(super) async fn new(
        servers: &str,
        mock: Option<Arc<Mock>>,
        settings: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let namespace = format!("{:016x}.", SystemIds::new().random());
        let broker = settings(builder(servers, &namespace)).open().await.unwrap();
        Self {
            broker,
            servers: servers.to_owned(),
            namespace,
            mock,
        }
    }

    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    pub(super) fn full(&self, topic: &Topic) -> String {
        format!("{}{topic}", self.namespace)
    }

    pub(super) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    /// Appends a record as another program does.
    pub(super) fn append_raw(
        &self,
        topic: &Topic,
        partition: i32,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: OwnedHeaders,
    ) {
        let producer: BaseProducer = self.config().create().unwrap();
        let topic = self.full(topic);
        let mut record = BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(partition)
            .headers(headers);
        (record.key, record.payload) = (key, payload);
        producer.send(record).unwrap();
        producer.flush(PATIENCE).unwrap();
    }

    pub(super) async fn set(&self, topic: &Topic, name: &str, value: &str) {
        self.configure(topic, &[(name, value)]).await;
    }

    /// Gives a topic these settings; all others are the cluster's again. They are in force when this
    /// returns.
    pub(super) async fn configure(&self, topic: &Topic, settings: &[(&str, &str)]) {
        let topic = self.full(topic);
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic));
        let change =
            (settings.iter()).fold(change, |change, (name, value)| change.set(name, value));
        let changed = self
            .admin()
            .alter_configs([&change], &AdminOptions::new())
            .await;
        changed.unwrap().remove(0).unwrap();
        self.until_applied().await;
    }

    /// Waits until the broker has applied the changes that the controller has made.
    ///
    /// It applies them in order, and shows a topic before it has finished the changes made with it:
    /// where a second topic shows, the changes before the first one are finished.
    pub(super) async fn until_applied(&self) {
        for _ in 0..2 {
            let later = Topic::new(format!("later-{:016x}", SystemIds::new().random())).unwrap();
            self.broker.create_topic(&later, 1).await.unwrap();
        }
    }

    /// Waits until the group has given its members their partitions. It may be too early for the
    /// member to have heard of it.
    pub(super) fn until_stable(&self, group: &str) {
        let client: BaseConsumer = self.config().create().unwrap();
        let name = format!("{}{group}", self.namespace);
        let clock = SystemClock::new();
        let deadline = clock.monotonic() + PATIENCE;
        loop {
            let list = client.fetch_group_list(Some(&name), PATIENCE).unwrap();
            if list.groups().iter().any(|group| group.state() == "Stable") {
                return;
            }
            let late = deadline.has_passed_at(clock.monotonic());
            assert!(!late, "the group is not stable");
        }
    }

    pub(super) async fn topic(&self, partitions: u16) -> Topic {
        let topic = Topic::from_static("orders");
        self.create_topic(&topic, partitions).await;
        topic
    }

    pub(super) async fn join(&self, topic: &Topic) -> LogConsumer {
        self.consumer(
            &Group::from_static("g"),
            std::slice::from_ref(topic),
            StartAt::Earliest,
        )
        .await
    }
}

pub(super) fn message(key: &'static str, number: usize) -> Message {
    let id = MessageId::new(format!("{key}-{number}")).unwrap();
    let mut message = Message::with_id(
        id,
        Source::from_static("/suite"),
        Topic::from_static("orders"),
        Kind::from_static("Counted"),
    );
    message.payload = Some(number.to_string().into());
    message.with_key(Key::from_static(key))
}

/// The next event that `wanted` accepts.
pub(super) async fn event<T>(
    consumer: &mut LogConsumer,
    mut wanted: impl FnMut(ConsumerEvent) -> Option<T>,
) -> T {
    let waiting = async {
        loop {
            match consumer.next().await {
                Ok(event) => {
                    if let Some(found) = wanted(event) {
                        return found;
                    }
                }
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

pub(super) async fn assigned(consumer: &mut LogConsumer) -> Vec<Assignment> {
    event(consumer, |event| match event {
        ConsumerEvent::Assigned(assigned) => Some(assigned),
        _ => None,
    })
    .await
}

pub(super) async fn read(consumer: &mut LogConsumer, count: usize) -> Vec<Delivery> {
    let mut read = Vec::new();
    while read.len() < count {
        read.extend(
            event(consumer, |event| match event {
                ConsumerEvent::Deliveries(deliveries) => Some(deliveries),
                _ => None,
            })
            .await,
        );
    }
    read
}

#[async_trait]
impl Fixture for KafkaFixture {
    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        match &self.mock {
            Some(mock) => mock.create_topic(&self.full(topic), partitions),
            None => self.broker.create_topic(topic, partitions).await.unwrap(),
        }
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
        let headers = OwnedHeaders::new();
        self.append_raw(
            &partition.topic,
            partition.number,
            None,
            Some(FOREIGN),
            headers,
        );
    }

    async fn lose_records(&self, partition: &Partition, offset: i64) {
        let topic = self.full(&partition.topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, partition.number, Offset::Offset(offset))
            .unwrap();
        let deleted = self
            .admin()
            .delete_records(&list, &AdminOptions::new())
            .await;
        deleted.unwrap();
    }
}

#[async_trait]
impl OutageFixture for KafkaFixture {
    async fn fail(&self) {
        self.mock.as_ref().unwrap().down();
    }

    async fn heal(&self) {
        self.mock.as_ref().unwrap().up();
    }
}
