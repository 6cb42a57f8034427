//! Records in a PostgreSQL database.
//!
//! Everything runs under a role that has only the privileges that `roles` grants.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod locks;
mod outcomes;
mod pooler;
mod privileges;
mod round_trips;

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Builder, Database, NewPool, classify, statement},
};
use mainstay_idempotency::{
    PostgresRecords, RecordsBuilder,
    conformance::{Concurrent, RecordsFixture},
    postgres::roles,
};
use mainstay_testkit::{
    Wire,
    postgres::{Server, TestDatabase},
};
use sqlx::{PgConnection, PgPool};

use crate::crash::PATIENCE;

/// The role that `roles` creates in this namespace. It owns nothing and stays on the server, where
/// it has no privilege once the test's database is dropped.
const ROLE: &str = "shop_idempotency_service";

pub(crate) struct PostgresFixture {
    /// As the service.
    pub(crate) database: Database,
    records: PostgresRecords,
    /// As the owner.
    pub(crate) owner: PgPool,
    server: TestDatabase,
}

/// In a schema and under a prefix; `None` if there is no server.
pub(crate) async fn fixture() -> Option<PostgresFixture> {
    let server = Server::for_suite("idempotency")?.database().await.unwrap();
    let url = as_service(&server.url());
    // On a machine that is busy, requests may wait long for a connection or a lock.
    let patient = |database: Settings| {
        let database = database.acquire_timeout(PATIENCE).lock_timeout(PATIENCE);
        database.max_connections(30)
    };
    Some(fixture_through(server, &url, patient).await)
}

/// The service connects by `url`.
async fn fixture_through(
    server: TestDatabase,
    url: &str,
    set: impl FnOnce(Settings) -> Settings,
) -> PostgresFixture {
    let owner = Database::connect(&server.url()).await.unwrap();
    builder(&owner).open().await.unwrap();
    let owner = owner.pool().clone();
    for sql in [roles(&namespace()), statement(&namespace(), EFFECTS)] {
        sqlx::raw_sql(sql).execute(&owner).await.unwrap();
    }
    let database = set(Database::builder(url)).open().await.unwrap();
    PostgresFixture {
        records: builder(&database).open().await.unwrap(),
        database,
        owner,
        server,
    }
}

type Settings = Builder<NewPool>;

impl PostgresFixture {
    /// A service that reaches the database over a wire.
    async fn over_a_wire(&self) -> (Wire, Database, PostgresRecords) {
        let (wire, url) = self.server.over_a_wire().await.unwrap();
        let database = Database::builder(as_service(&url)).max_connections(1);
        let database = database.open().await.unwrap();
        let records = builder(&database).open().await.unwrap();
        (wire, database, records)
    }
}

fn builder(database: &Database) -> RecordsBuilder<Database> {
    PostgresRecords::builder(database).namespace(namespace())
}

fn namespace() -> Namespace {
    let prefixed = Namespace::prefixed("shop_").unwrap();
    prefixed.in_schema("sales").unwrap()
}

/// The service's own table.
const EFFECTS: &str =
    "CREATE TABLE effects (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, effect TEXT NOT NULL);
     GRANT SELECT, INSERT ON effects TO {prefix}idempotency_service;";

fn as_service(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[role]={ROLE}&application_name=service")
}

#[async_trait]
impl RecordsFixture for PostgresFixture {
    type Records = PostgresRecords;

    const CONCURRENT: Concurrent = Concurrent::IsToldAtOnce;

    fn records(&self) -> PostgresRecords {
        self.records.clone()
    }

    async fn records_for(&self, lifetime: Duration) -> PostgresRecords {
        let records = builder(&self.database).lifetime(lifetime);
        records.open_without_migrating().await.unwrap()
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

    async fn kept(&self) -> usize {
        let records: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sales.shop_idempotency_records")
                .fetch_one(&self.owner)
                .await
                .unwrap();
        usize::try_from(records).unwrap()
    }
}

mainstay_idempotency::conformance!(records if_there fixture());
