//! Sagas in a PostgreSQL database.
//!
//! Everything runs under a role that has only the privileges that `roles` grants.
#![expect(clippy::unwrap_used, reason = "tests")]

mod outcomes;
mod privileges;
mod schema;

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    postgres::{Database, classify, statement},
};
use mainstay_saga::{PostgresSagas, conformance::Fixture, postgres::roles};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{PgConnection, PgPool};

use crate::stores::{self, one_process};

/// The role that `roles` creates in this namespace. It owns nothing and stays on the server, where
/// it has no privilege once the test's database is dropped.
const ROLE: &str = "sales_saga_worker";

pub(crate) struct PostgresFixture {
    pub(crate) database: Database,
    sagas: PostgresSagas,
    /// As the owner.
    pub(crate) owner: PgPool,
    server: TestDatabase,
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
        database,
        owner,
        server,
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

/// As another process opens it.
async fn other(fixture: &PostgresFixture) -> PostgresSagas {
    let url = as_service(&fixture.server.url());
    sagas_in(&Database::connect(&url).await.unwrap()).await
}

#[tokio::test]
async fn a_run_that_another_process_has_locked_is_skipped() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let other = other(&fixture).await;
    stores::a_run_that_another_process_has_locked_is_skipped(fixture, other).await;
}

#[tokio::test]
async fn timers_of_two_processes_fire_each_run_once() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let other = other(&fixture).await;
    stores::timers_of_two_processes_fire_each_run_once(fixture, other).await;
}

#[tokio::test]
async fn reply_and_timer_race_for_a_run_and_one_of_them_wins() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let other = other(&fixture).await;
    stores::reply_and_timer_race_for_a_run_and_one_of_them_wins(fixture, other).await;
}

one_process!(fixture();
    a_start_is_one_run_wherever_its_process_ends
    a_reply_is_one_transition_wherever_its_process_ends
    a_timer_fires_once_wherever_its_process_ends
);
