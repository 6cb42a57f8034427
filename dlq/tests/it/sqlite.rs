//! The queue in a SQLite file, with a broker in another file.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::{Namespace, sqlite::Database};
use mainstay_dlq::{
    DeadLetterQueue,
    conformance::{Decorated, Fixture},
    sqlite::SqliteDeadLetters,
};
use mainstay_inbox::SqliteInbox;
use mainstay_messaging::{
    Group, Partition, Topic,
    sqlite::{Broker, LogConsumer, LogPublisher},
};
use sqlx::SqliteConnection;

type Queue = DeadLetterQueue<SqliteInbox, SqliteDeadLetters>;

pub(crate) struct SqliteFixture {
    database: Database,
    queue: Queue,
    log: Database,
    broker: Broker,
    _directory: tempfile::TempDir,
}

async fn fixture() -> SqliteFixture {
    fixture_with(Duration::from_millis(1_500)).await
}

pub(crate) async fn fixture_with(lease: Duration) -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let open = async |name| Database::open(directory.path().join(name)).await.unwrap();
    let (database, log) = (open("service.db").await, open("log.db").await);
    let broker = Broker::builder_on(&log)
        .lease(lease)
        .revocation_timeout(lease * 2 / 3);
    let inbox = SqliteInbox::builder(&database).namespace(Namespace::prefixed("billing_").unwrap());
    let queue = DeadLetterQueue::builder(inbox.open().await.unwrap());
    let queue = queue.namespace(Namespace::prefixed("billing_").unwrap());
    let fixture = SqliteFixture {
        queue: queue.open().await.unwrap(),
        broker: broker.open().await.unwrap(),
        database,
        log,
        _directory: directory,
    };
    execute(
        &fixture.database,
        "CREATE TABLE effects (seq INTEGER PRIMARY KEY, effect TEXT NOT NULL)",
    )
    .await;
    fixture
}

async fn execute(database: &Database, sql: &'static str) {
    let mut tx = database.begin().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
}

#[async_trait]
impl Fixture for SqliteFixture {
    type Inbox = SqliteInbox;
    type Store = SqliteDeadLetters;
    type Publisher = LogPublisher;
    type Consumer = LogConsumer;

    fn queue(&self, delays: &[Duration]) -> Queue {
        self.queue.delayed_retries(delays.iter().copied())
    }

    async fn write(
        connection: &mut SqliteConnection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        sqlx::query("INSERT INTO effects (effect) VALUES ($1)")
            .bind(effect)
            .execute(connection)
            .await
            .map_err(mainstay_database::sqlite::classify)?;
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT effect FROM effects ORDER BY seq")
            .fetch_all(self.database.reader())
            .await
            .unwrap()
    }

    async fn processed(&self) -> usize {
        let records: i64 = sqlx::query_scalar("SELECT count(*) FROM billing_inbox_processed")
            .fetch_one(self.database.reader())
            .await
            .unwrap();
        usize::try_from(records).unwrap()
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
        let mut tx = self.log.begin().await.unwrap();
        let (id, offset): (i64, i64) = sqlx::query_as(
            "UPDATE broker_partitions SET next_offset = next_offset + 1 WHERE topic = $1 AND number = $2
             RETURNING id, next_offset - 1",
        )
        .bind(partition.topic.as_str())
        .bind(partition.number)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        sqlx::query("INSERT INTO broker_records (id, key, envelope, payload, appended_at) VALUES ($1 << 40 | $2, $3, 'what is this?', NULL, 0)")
            .bind(id)
            .bind(offset)
            .bind(key)
            .execute(&mut *tx)
            .await
            .unwrap();
        self.log.commit(tx).await.unwrap();
    }
}

mod queue {
    use super::fixture;

    mainstay_dlq::conformance!(fixture());
}

/// A queue is an inbox.
mod inbox {
    use super::{Decorated, fixture};

    mainstay_inbox::conformance!(async { Decorated(fixture().await) });
}

#[tokio::test]
async fn a_dead_letter_is_kept_once_wherever_its_process_ends() {
    crate::crash::a_dead_letter_is_kept_once_wherever_its_process_ends(fixture().await).await;
}

#[tokio::test]
async fn a_replay_makes_every_effect_once_and_in_order_wherever_its_process_ends() {
    crate::crash::a_replay_makes_every_effect_once_and_in_order_wherever_its_process_ends(
        fixture().await,
    )
    .await;
}
