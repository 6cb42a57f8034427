//! Sagas in a PostgreSQL database.
//!
//! Everything runs under a role that has only the privileges that `roles` grants.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Database, classify, statement},
};
use mainstay_saga::{PostgresSagas, conformance::Fixture, postgres::roles};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{PgConnection, PgPool};

/// The role that `roles` creates in this namespace. It owns nothing and stays on the server, where
/// it has no privilege once the test's database is dropped.
const ROLE: &str = "sales_saga_worker";

pub(crate) struct PostgresFixture {
    sagas: PostgresSagas,
    /// As the owner.
    pub(crate) owner: PgPool,
    _server: TestDatabase,
}

pub(crate) fn namespace() -> Namespace {
    let prefixed = Namespace::prefixed("sales_").unwrap();
    prefixed.in_schema("shop").unwrap()
}

/// In a schema and under a prefix; `None` if there is no server.
pub(crate) async fn fixture() -> Option<PostgresFixture> {
    let server = Server::for_suite("saga")?.database().await.unwrap();
    let owner = PgPool::connect(&server.url()).await.unwrap();
    sagas_in(&Database::from(&owner)).await;
    let effects = "CREATE TABLE effects (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, effect TEXT NOT NULL);
        GRANT SELECT, INSERT ON effects TO {prefix}saga_worker;";
    for sql in [roles(&namespace()), statement(&namespace(), effects)] {
        sqlx::raw_sql(sql).execute(&owner).await.unwrap();
    }
    let database = Database::connect(&as_service(&server.url())).await.unwrap();
    Some(PostgresFixture {
        sagas: sagas_in(&database).await,
        owner,
        _server: server,
    })
}

/// The service finds the tables as the owner made them.
pub(crate) async fn sagas_in(database: &Database) -> PostgresSagas {
    let sagas = PostgresSagas::builder(database).namespace(namespace());
    sagas.open().await.unwrap()
}

pub(crate) fn as_service(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[role]={ROLE}&application_name=service")
}

#[async_trait]
impl Fixture for PostgresFixture {
    type Store = PostgresSagas;

    fn sagas(&self) -> PostgresSagas {
        self.sagas.clone()
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
}

mainstay_saga::conformance!(if_there fixture());
