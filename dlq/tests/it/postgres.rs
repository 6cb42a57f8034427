//! The queue in a PostgreSQL database, with a broker in memory.
//!
//! Everything runs under a role that has only the privileges that `roles` grants.
#![expect(clippy::unwrap_used, reason = "tests")]

mod isolation;
mod privileges;
mod round_trips;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Builder, Database, NewPool, classify, statement},
};
use mainstay_dlq::{
    DeadLetterQueue,
    conformance::{Decorated, Fixture},
    postgres::{PostgresDeadLetters, roles},
};
use mainstay_inbox::PostgresInbox;
use mainstay_messaging::{
    Delivery, Group, Headers, Key, Kind, Message, MessageId, Partition, Position, Source, Topic,
    broker::{Content, Raw},
    memory::{Broker, LogConsumer, LogPublisher},
};
use mainstay_testkit::{
    Wire,
    postgres::{Server, TestDatabase},
};
use sqlx::{PgConnection, PgPool};

/// The role that `roles` creates in this namespace. It owns nothing and stays on the server, where
/// it has no privilege once the test's database is dropped.
const ROLE: &str = "billing_dlq_worker";

type Queue = DeadLetterQueue<PostgresInbox, PostgresDeadLetters>;

pub(crate) struct PostgresFixture {
    queue: Queue,
    pub(crate) broker: Broker,
    /// As the owner.
    owner: PgPool,
    server: TestDatabase,
}

pub(crate) async fn fixture() -> Option<PostgresFixture> {
    // Handlers of the suite may take an hour.
    fixture_with(|database| database.idle_in_transaction_timeout(TWO_HOURS)).await
}

const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

type Settings = Builder<NewPool>;

/// In a schema and under a prefix; `None` if there is no server.
async fn fixture_with(set: impl FnOnce(Settings) -> Settings) -> Option<PostgresFixture> {
    let server = Server::for_suite("dlq")?.database().await.unwrap();
    Some(fixture_in(server, set).await)
}

async fn fixture_in(
    server: TestDatabase,
    set: impl FnOnce(Settings) -> Settings,
) -> PostgresFixture {
    let url = as_service(&server.url());
    fixture_through(server, &url, set).await
}

/// The service connects by `url`.
async fn fixture_through(
    server: TestDatabase,
    url: &str,
    set: impl FnOnce(Settings) -> Settings,
) -> PostgresFixture {
    let owner = Database::connect(&server.url()).await.unwrap();
    queue(&owner).await;
    // Tests its connections, so that it survives a restart of the server.
    let owner = PgPool::connect(&server.url()).await.unwrap();
    let inbox_roles = mainstay_inbox::postgres::roles(&namespace());
    for sql in [
        inbox_roles,
        roles(&namespace()),
        statement(&namespace(), EFFECTS),
    ] {
        sqlx::raw_sql(sql).execute(&owner).await.unwrap();
    }
    let database = set(Database::builder(url)).open().await.unwrap();
    PostgresFixture {
        queue: queue(&database).await,
        broker: broker(),
        owner,
        server,
    }
}

impl PostgresFixture {
    /// The same queue over a connection whose round trips are counted.
    async fn over_a_wire(&self) -> (Wire, Queue) {
        let (wire, url) = self.server.over_a_wire().await.unwrap();
        let database = Database::builder(as_service(&url)).max_connections(1);
        let database = database.open().await.unwrap();
        (wire, queue(&database).await)
    }
}

async fn queue(database: &Database) -> Queue {
    let inbox = PostgresInbox::builder(database).namespace(namespace());
    let queue = DeadLetterQueue::builder(inbox.open().await.unwrap());
    queue.namespace(namespace()).open().await.unwrap()
}

fn namespace() -> Namespace {
    let prefixed = Namespace::prefixed("billing_").unwrap();
    prefixed.in_schema("shop").unwrap()
}

/// The service's own tables.
const EFFECTS: &str =
    "CREATE TABLE effects (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, effect TEXT NOT NULL);
     CREATE TABLE accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL);
     GRANT {prefix}inbox_worker TO {prefix}dlq_worker;
     GRANT SELECT, INSERT, UPDATE, DELETE ON effects, accounts TO {prefix}dlq_worker;";

fn as_service(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[role]={ROLE}&application_name=service")
}

/// Of a key of its own.
fn delivery(offset: i64) -> Delivery {
    Delivery {
        position: Position {
            partition: Partition {
                topic: Topic::from_static("orders"),
                number: 0,
            },
            offset,
        },
        content: Content::Message(
            Message::with_id(
                MessageId::new(offset.to_string()).unwrap(),
                Source::from_static("/shop"),
                Topic::from_static("orders"),
                Kind::from_static("OrderPlaced"),
            )
            .with_key(Key::new(format!("key-{offset}")).unwrap()),
        ),
    }
}

fn broker() -> Broker {
    Broker::builder()
        .lease(Duration::from_millis(1_500))
        .revocation_timeout(Duration::from_secs(1))
        .build()
}

#[async_trait]
impl Fixture for PostgresFixture {
    type Inbox = PostgresInbox;
    type Store = PostgresDeadLetters;
    type Publisher = LogPublisher;
    type Consumer = LogConsumer;

    fn queue(&self, delays: &[Duration]) -> Queue {
        self.queue.delayed_retries(delays.iter().copied())
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

    async fn processed(&self) -> usize {
        let records: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.billing_inbox_processed")
            .fetch_one(&self.owner)
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
        let record = Raw {
            key: Some(key.to_owned().into()),
            headers: Headers::new(),
            payload: None,
            reason: "what is this?".to_owned(),
        };
        self.broker.append_raw(partition, record).unwrap();
    }
}

mod decorator {
    use super::fixture;

    mainstay_dlq::conformance!(if_there fixture());
}

/// A queue is an inbox.
mod inbox {
    use super::{Decorated, fixture};

    mainstay_inbox::conformance!(if_there async { fixture().await.map(Decorated) });
}

#[tokio::test]
async fn a_dead_letter_is_kept_once_wherever_its_process_ends() {
    if let Some(f) = fixture().await {
        crate::crash::a_dead_letter_is_kept_once_wherever_its_process_ends(f).await;
    }
}

#[tokio::test]
async fn a_replay_makes_every_effect_once_and_in_order_wherever_its_process_ends() {
    if let Some(f) = fixture().await {
        crate::crash::a_replay_makes_every_effect_once_and_in_order_wherever_its_process_ends(f)
            .await;
    }
}
