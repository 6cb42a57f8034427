//! Behind `PgBouncer` in transaction mode, where the next transaction runs in another session: the suite, and admission and
//! effect in one statement.

use std::{ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::{
    Transactions as _,
    postgres::{Database, Options},
};
use mainstay_inbox::{
    conformance::Fixture,
    postgres::{Effect, Fused, PostgresInbox},
};
use mainstay_messaging::{
    Group, Partition, Topic,
    memory::{LogConsumer, LogPublisher},
};
use mainstay_testkit::postgres::{Pooler, Server};
use sqlx::PgConnection;

use super::{PostgresFixture, ROLE, fixture_through, scene::delivery};
use crate::named::{group, message};

/// The fixture, and the pooler that its service goes through.
struct Pooled {
    fixture: PostgresFixture,
    _pooler: Pooler,
}

impl Deref for Pooled {
    type Target = PostgresFixture;

    fn deref(&self) -> &PostgresFixture {
        &self.fixture
    }
}

async fn pooled() -> Option<Pooled> {
    let suite = "inbox behind a pooler";
    let server = Server::for_suite(suite)?.database().await.unwrap();
    // It knows nothing of the setting by which the service's role is chosen otherwise.
    let greeting = format!("SET ROLE {ROLE}");
    // More than the suite holds open at once, and fewer than there are clients.
    let pooler = Pooler::for_suite(suite, &server.url(), 6, &greeting).await;
    let pooler = pooler.unwrap()?;
    let mut options = Options::default();
    options.idle_in_transaction_timeout = Duration::from_secs(2 * 60 * 60);
    options.behind_transaction_pooler = true;
    let url = pooler.url(server.name());
    Some(Pooled {
        fixture: fixture_through(server, &url, options).await,
        _pooler: pooler,
    })
}

#[async_trait]
impl Fixture for Pooled {
    type Database = Database;
    type Inbox = PostgresInbox;
    type Publisher = LogPublisher;
    type Consumer = LogConsumer;

    fn database(&self) -> Arc<Database> {
        Fixture::database(&self.fixture)
    }

    fn inbox(&self) -> Arc<PostgresInbox> {
        Fixture::inbox(&self.fixture)
    }

    /// In a transaction, and keeping no statement.
    async fn write(
        connection: &mut PgConnection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        sqlx::query("INSERT INTO effects (effect) VALUES ($1)")
            .persistent(false)
            .bind(effect)
            .execute(connection)
            .await
            .map_err(super::classify)?;
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        self.fixture.effects().await
    }

    async fn marks(&self) -> usize {
        self.fixture.marks().await
    }

    async fn create_topic(&self, topic: &Topic, partitions: u16) {
        self.fixture.create_topic(topic, partitions).await;
    }

    fn publisher(&self) -> LogPublisher {
        self.fixture.publisher()
    }

    fn consumer(&self, group: &Group, topic: &Topic) -> LogConsumer {
        self.fixture.consumer(group, topic)
    }

    async fn progress(&self, group: &Group) -> Vec<(Partition, i64, i64)> {
        self.fixture.progress(group).await
    }

    async fn append_raw(&self, partition: &Partition, key: &str) {
        self.fixture.append_raw(partition, key).await;
    }
}

mainstay_inbox::conformance!(if_there pooled());

#[tokio::test]
async fn effect_and_mark_in_one_statement_need_a_transaction_around_them() {
    let Some(f) = pooled().await else { return };
    let write = f.inbox.fused(&Effect::insert("effects", "effect", "$1"));
    let consumer = group();
    for round in 0..20 {
        let delivery = delivery(message("a", round / 2), i64::try_from(round / 2).unwrap());
        let mut tx = f.database.begin().await.unwrap();
        // Beside it, so that the next transaction runs in another session.
        let other = f.database.begin().await.unwrap();
        let made = write
            .admit(&mut tx, &consumer, &delivery, |q| {
                q.bind(format!("{round}"))
            })
            .await
            .unwrap();
        let expected = match round % 2 {
            0 => Fused::Fresh { rows: 1 },
            _ => Fused::Duplicate,
        };
        assert_eq!(made, expected);
        f.database.commit(tx).await.unwrap();
        drop(other);
    }
    assert_eq!((f.marks().await, f.effects().await.len()), (10, 10));
}
