//! Marks in memory, and what only a database with faults on demand shows.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{Clock, IdGenerator, SystemIds, TokioClock};
use mainstay_database::{
    Transactions as _,
    memory::{Connection, Database, Inserted, Record},
};
use mainstay_inbox::{conformance::Fixture, memory::MemoryInbox};
use mainstay_messaging::{
    Group, Headers, Partition, Raw, StartAt, Topic,
    memory::{Broker, LogConsumer, LogPublisher, Options},
};

pub(crate) struct MemoryFixture {
    pub(crate) database: Database,
    pub(crate) inbox: Arc<MemoryInbox>,
    pub(crate) broker: Broker,
}

fn fixture() -> MemoryFixture {
    MemoryFixture::with(Arc::new(TokioClock::default()), Arc::new(SystemIds::new()))
}

impl MemoryFixture {
    pub(crate) fn with(clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        let mut options = Options::default();
        options.lease = Duration::from_millis(1_500);
        options.revocation = Duration::from_secs(1);
        options.clock = Arc::clone(&clock);
        options.ids = Arc::clone(&ids);
        let database = Database::with(clock, ids);
        Self {
            inbox: Arc::new(MemoryInbox::new(database.clone())),
            broker: Broker::new(options),
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
    type Database = Database;
    type Inbox = MemoryInbox;
    type Publisher = LogPublisher;
    type Consumer = LogConsumer;

    fn database(&self) -> Arc<Database> {
        Arc::new(self.database.clone())
    }

    fn inbox(&self) -> Arc<MemoryInbox> {
        Arc::clone(&self.inbox)
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

    async fn marks(&self) -> usize {
        self.inbox.marks().await.unwrap()
    }

    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.broker.create_topic(topic, partitions).await.unwrap();
    }

    fn publisher(&self) -> LogPublisher {
        self.broker.publisher()
    }

    fn consumer(&self, group: &Group, topic: &Topic) -> LogConsumer {
        self.broker.consumer(
            group.clone(),
            std::slice::from_ref(topic),
            StartAt::Earliest,
        )
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

mainstay_inbox::conformance!(async { fixture() });
