//! The queue in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{Clock, IdGenerator, SystemIds, TokioClock};
use mainstay_database::memory::{Connection, Database, Inserted, Record};
use mainstay_dlq::{
    DeadLetterQueue,
    conformance::{Decorated, Fixture},
    memory::MemoryDeadLetters,
};
use mainstay_inbox::MemoryInbox;
use mainstay_messaging::{
    Group, Headers, Partition, Topic,
    broker::Raw,
    memory::{Broker, LogConsumer, LogPublisher},
};

pub(crate) type Queue = DeadLetterQueue<MemoryInbox, MemoryDeadLetters>;

pub(crate) struct MemoryFixture {
    pub(crate) database: Database,
    pub(crate) inbox: MemoryInbox,
    pub(crate) broker: Broker,
}

impl MemoryFixture {
    pub(crate) fn new() -> Self {
        Self::with(Arc::new(TokioClock::default()), Arc::new(SystemIds::new()))
    }

    pub(crate) fn with(clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        let broker = Broker::builder()
            .lease(Duration::from_millis(1_500))
            .revocation_timeout(Duration::from_secs(1))
            .clock(Arc::clone(&clock))
            .ids(Arc::clone(&ids))
            .build();
        let database = Database::builder().clock(clock).ids(ids).build();
        Self {
            inbox: MemoryInbox::new(&database),
            broker,
            database,
        }
    }
}

#[derive(Clone, Debug)]
struct Effect {
    seq: i64,
    text: String,
}

impl Record for Effect {
    const TABLE: &'static str = "effects";
    type Key = i64;

    fn key(&self) -> i64 {
        self.seq
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    type Inbox = MemoryInbox;
    type Store = MemoryDeadLetters;
    type Publisher = LogPublisher;
    type Consumer = LogConsumer;

    fn queue(&self, delays: &[Duration]) -> Queue {
        let store = MemoryDeadLetters::new(&self.database);
        let queue = DeadLetterQueue::with_store(self.inbox.clone(), store);
        queue.delayed_retries(delays.iter().copied())
    }

    async fn write(
        connection: &mut Connection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        let mut statement = connection.statement().await?;
        let seq = statement.next_value("effects_seq");
        let text = effect.to_owned();
        assert_eq!(statement.insert(Effect { seq, text }).await?, Inserted::New);
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        let mut tx = self.database.begin().await.unwrap();
        let statement = tx.statement().await.unwrap();
        let effects = statement.scan::<Effect>(..);
        effects.into_iter().map(|effect| effect.text).collect()
    }

    async fn processed(&self) -> usize {
        self.inbox.count_processed().await.unwrap()
    }

    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.broker
            .create_topic(topic.clone(), partitions)
            .await
            .unwrap();
    }

    fn publisher(&self) -> LogPublisher {
        self.broker.publisher()
    }

    async fn consumer(&self, group: &Group, topic: &Topic) -> LogConsumer {
        let consumer = self.broker.consumer(group.clone());
        consumer.subscribe([topic.clone()]).await.unwrap()
    }

    async fn progress(&self, group: &Group) -> Vec<(Partition, i64, i64)> {
        self.broker.progress(group).await.unwrap()
    }

    async fn append_raw(&self, partition: &Partition, key: &str) {
        let record = Raw {
            key: Some(key.to_owned().into()),
            headers: Headers::new(),
            payload: None,
            reason: "what is this?".to_owned(),
        };
        self.broker.append_raw(partition, record).unwrap();
    }
}

mod queue {
    use super::MemoryFixture;

    mainstay_dlq::conformance!(async { MemoryFixture::new() });
}

/// A queue is an inbox.
mod inbox {
    use super::{Decorated, MemoryFixture};

    mainstay_inbox::conformance!(async { Decorated(MemoryFixture::new()) });
}

#[tokio::test]
async fn a_dead_letter_is_kept_once_wherever_its_process_ends() {
    crate::crash::a_dead_letter_is_kept_once_wherever_its_process_ends(MemoryFixture::new()).await;
}

#[tokio::test]
async fn a_replay_makes_every_effect_once_and_in_order_wherever_its_process_ends() {
    crate::crash::a_replay_makes_every_effect_once_and_in_order_wherever_its_process_ends(
        MemoryFixture::new(),
    )
    .await;
}
