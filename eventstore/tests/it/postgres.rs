//! Streams in a PostgreSQL database.
//!
//! Everything runs under a role that has only the privileges that `roles` grants.
#![expect(clippy::unwrap_used, reason = "tests")]

mod isolation;
mod pooler;
mod privileges;
mod projections;
mod round_trips;

use std::time::SystemTime;

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Builder, Database, NewPool, classify, statement},
};
use mainstay_eventstore::{
    EventStoreBuilder, PostgresEventStore, conformance::Fixture, postgres::roles,
    store::StoredEvent,
};
use mainstay_testkit::{
    Wire,
    postgres::{Server, TestDatabase},
};
use sqlx::{PgConnection, PgPool};

/// The role that `roles` creates in this namespace. It owns nothing and stays on the server, where
/// it has no privilege once the test's database is dropped.
const ROLE: &str = "shop_eventstore_service";

pub(crate) struct PostgresFixture {
    /// As the service.
    pub(crate) database: Database,
    store: PostgresEventStore,
    /// As the owner.
    pub(crate) owner: PgPool,
    server: TestDatabase,
}

/// In a schema and under a prefix; `None` if there is no server.
pub(crate) async fn fixture() -> Option<PostgresFixture> {
    let server = Server::for_suite("eventstore")?.database().await.unwrap();
    let url = as_service(&server.url());
    Some(fixture_through(server, &url, |database| database.max_connections(30)).await)
}

/// The service connects by `url`.
async fn fixture_through(
    server: TestDatabase,
    url: &str,
    set: impl FnOnce(Builder<NewPool>) -> Builder<NewPool>,
) -> PostgresFixture {
    let owner = Database::connect(&server.url()).await.unwrap();
    builder(&owner).open().await.unwrap();
    let owner = owner.pool().clone();
    for sql in [roles(&namespace()), statement(&namespace(), ROWS)] {
        sqlx::raw_sql(sql).execute(&owner).await.unwrap();
    }
    let database = set(Database::builder(url)).open().await.unwrap();
    PostgresFixture {
        store: builder(&database).open().await.unwrap(),
        database,
        owner,
        server,
    }
}

fn builder(database: &Database) -> EventStoreBuilder<Database> {
    PostgresEventStore::builder(database).namespace(namespace())
}

fn namespace() -> Namespace {
    let prefixed = Namespace::prefixed("shop_").unwrap();
    prefixed.in_schema("sales").unwrap()
}

/// The service's own table.
const ROWS: &str =
    "CREATE TABLE rows (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text TEXT NOT NULL);
     GRANT SELECT, INSERT, DELETE ON rows TO {prefix}eventstore_service;";

fn as_service(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[role]={ROLE}&application_name=service")
}

impl PostgresFixture {
    /// A service that reaches the database over a wire.
    async fn over_a_wire(&self) -> (Wire, Database, PostgresEventStore) {
        let (wire, url) = self.server.over_a_wire().await.unwrap();
        let database = Database::builder(as_service(&url)).max_connections(1);
        let database = database.open().await.unwrap();
        let store = builder(&database).open().await.unwrap();
        (wire, database, store)
    }
}

#[async_trait]
impl Fixture for PostgresFixture {
    type Store = PostgresEventStore;

    fn store(&self) -> &PostgresEventStore {
        &self.store
    }

    async fn put(&self, stream: &str, event: StoredEvent) {
        let at = event.recorded_at.duration_since(SystemTime::UNIX_EPOCH);
        sqlx::query(
            "INSERT INTO sales.shop_eventstore_events
               (stream, version, kind, schema_version, payload, recorded_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(stream)
        .bind(i64::try_from(event.version).unwrap())
        .bind(event.kind)
        .bind(i32::try_from(event.schema_version).unwrap())
        .bind(event.payload)
        .bind(i64::try_from(at.unwrap().as_micros()).unwrap())
        .execute(&self.owner)
        .await
        .unwrap();
    }

    async fn write(
        connection: &mut PgConnection,
        row: &str,
    ) -> Result<(), mainstay_database::Error> {
        // Behind a pooler no prepared statement may outlive its transaction.
        let write = sqlx::query("INSERT INTO rows (text) VALUES ($1)").persistent(false);
        let written = write.bind(row).execute(connection).await;
        written.map_err(classify)?;
        Ok(())
    }

    async fn clear(connection: &mut PgConnection) -> Result<(), mainstay_database::Error> {
        let clear = sqlx::query("DELETE FROM rows").persistent(false);
        clear.execute(connection).await.map_err(classify)?;
        Ok(())
    }

    async fn rows(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT text FROM rows ORDER BY seq")
            .fetch_all(&self.owner)
            .await
            .unwrap()
    }

    async fn until_one_waits(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let asking = async {
            while sqlx::query_scalar::<_, i64>(waiting)
                .fetch_one(&self.owner)
                .await
                .unwrap()
                == 0
            {
                tokio::task::yield_now().await;
            }
        };
        let patience = std::time::Duration::from_secs(60);
        tokio::time::timeout(patience, asking).await.unwrap();
    }
}

mainstay_eventstore::conformance!(if_there fixture());
