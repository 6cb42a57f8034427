//! Marks in a PostgreSQL database, read from a log in memory.
//!
//! Everything runs under a role that may do no more than `roles` grants.
#![expect(clippy::unwrap_used, reason = "tests")]

mod admission;
mod combined;
mod conditions;
mod connections;
mod full_disk;
mod pooler;
mod privileges;
mod retention;
mod scene;
mod waiting;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Database, Options, classify, statement},
};
use mainstay_inbox::{
    conformance::Fixture,
    postgres::{PostgresInbox, roles},
};
use mainstay_messaging::{
    Group, Headers, Partition, Raw, StartAt, Topic,
    memory::{self, Broker, LogConsumer, LogPublisher},
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{PgConnection, PgPool};

/// What `roles` makes in this namespace. Owns nothing, and stays behind on the server, where it may do nothing once the
/// test's database is gone.
const ROLE: &str = "billing_inbox_worker";

pub(crate) struct PostgresFixture {
    /// As the service.
    database: Database,
    inbox: Arc<PostgresInbox>,
    pub(crate) broker: Broker,
    /// As the owner.
    owner: PgPool,
    server: TestDatabase,
}

pub(crate) async fn fixture() -> Option<PostgresFixture> {
    let mut options = Options::default();
    // Handlers of the suite may take an hour.
    options.idle_in_transaction_timeout = Duration::from_secs(2 * 60 * 60);
    fixture_with(options).await
}

/// In a schema and under a prefix; none where there is no server.
async fn fixture_with(options: Options) -> Option<PostgresFixture> {
    let server = Server::for_suite("inbox")?.database().await.unwrap();
    Some(fixture_in(server, options).await)
}

async fn fixture_in(server: TestDatabase, options: Options) -> PostgresFixture {
    let url = as_service(&server.url());
    fixture_through(server, &url, options).await
}

/// Whose service takes a way of its own.
async fn fixture_through(server: TestDatabase, url: &str, options: Options) -> PostgresFixture {
    let owner = Database::connect(&server.url()).await.unwrap();
    let migrating = PostgresInbox::new(owner.clone(), namespace());
    migrating.migrate().await.unwrap();
    let owner = owner.pool().clone();
    for sql in [roles(&namespace()), statement(&namespace(), EFFECTS)] {
        sqlx::raw_sql(sql).execute(&owner).await.unwrap();
    }
    let database = Database::connect_with(url, options).await.unwrap();
    PostgresFixture {
        inbox: Arc::new(PostgresInbox::new(database.clone(), namespace())),
        broker: broker(),
        database,
        owner,
        server,
    }
}

fn namespace() -> Namespace {
    let prefixed = Namespace::prefixed("billing_").unwrap();
    prefixed.in_schema("shop").unwrap()
}

/// The service's own tables, where effects go.
const EFFECTS: &str =
    "CREATE TABLE effects (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, effect TEXT NOT NULL);
     CREATE TABLE accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL);
     GRANT SELECT, INSERT, UPDATE, DELETE ON effects, accounts TO {prefix}inbox_worker;";

fn as_service(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[role]={ROLE}&application_name=service")
}

fn broker() -> Broker {
    let mut options = memory::Options::default();
    options.lease = Duration::from_millis(1_500);
    options.revocation = Duration::from_secs(1);
    Broker::new(options)
}

impl PostgresFixture {
    /// How many transactions of the service are open.
    pub(crate) async fn open_transactions(&self) -> i64 {
        let open = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'service' AND xact_start IS NOT NULL";
        sqlx::query_scalar(open)
            .fetch_one(&self.owner)
            .await
            .unwrap()
    }
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
            .fetch_all(&self.owner)
            .await
            .unwrap()
    }

    async fn marks(&self) -> usize {
        let marks: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.billing_inbox_processed")
            .fetch_one(&self.owner)
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
