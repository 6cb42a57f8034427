//! Marks in a PostgreSQL database, read from a log in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

mod testkit;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Database, Options, classify},
};
use mainstay_inbox::{conformance::Fixture, postgres::PostgresInbox};
use mainstay_messaging::{
    Group, Headers, Partition, Raw, StartAt, Topic,
    memory::{self, Broker, LogConsumer, LogPublisher},
};
use sqlx::PgConnection;
use testkit::{Server, TestDatabase};

struct PostgresFixture {
    database: Database,
    inbox: Arc<PostgresInbox>,
    broker: Broker,
    _server: TestDatabase,
}

/// In a schema and under a prefix; none where there is no server.
async fn fixture() -> Option<PostgresFixture> {
    fixture_with(Options::default()).await
}

async fn fixture_with(options: Options) -> Option<PostgresFixture> {
    let server = Server::for_suite("inbox")?.database().await.unwrap();
    let database = Database::connect_with(&server.url(), options)
        .await
        .unwrap();
    let namespace = Namespace::prefixed("billing_").unwrap();
    let inbox = PostgresInbox::new(database.clone(), namespace.in_schema("shop").unwrap());
    inbox.migrate().await.unwrap();
    let create = "CREATE TABLE effects (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, effect TEXT NOT NULL)";
    sqlx::query(create).execute(database.pool()).await.unwrap();
    let mut options = memory::Options::default();
    options.lease = Duration::from_millis(1_500);
    options.revocation = Duration::from_secs(1);
    Some(PostgresFixture {
        database,
        inbox: Arc::new(inbox),
        broker: Broker::new(options),
        _server: server,
    })
}

#[async_trait]
impl Fixture for PostgresFixture {
    type Database = Database;
    type Inbox = PostgresInbox;
    type Publisher = LogPublisher;
    type Consumer = LogConsumer;

    fn database(&self) -> Arc<Database> {
        Arc::new(self.database.clone())
    }

    fn inbox(&self) -> Arc<PostgresInbox> {
        Arc::clone(&self.inbox)
    }

    async fn write(
        connection: &mut PgConnection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        sqlx::query("INSERT INTO effects (effect) VALUES ($1)")
            .bind(effect)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT effect FROM effects ORDER BY seq")
            .fetch_all(self.database.pool())
            .await
            .unwrap()
    }

    async fn marks(&self) -> usize {
        let marks: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.billing_inbox_marks")
            .fetch_one(self.database.pool())
            .await
            .unwrap();
        usize::try_from(marks).unwrap()
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

mainstay_inbox::conformance!(if_there fixture());
