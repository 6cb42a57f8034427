//! Sagas in a SQLite file.
#![expect(clippy::unwrap_used, reason = "tests")]

mod schema;

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    sqlite::{Database, classify},
};
use mainstay_saga::{SqliteSagas, conformance::Fixture};
use sqlx::SqliteConnection;

use crate::stores::{self, one_process};

pub(crate) struct SqliteFixture {
    sagas: SqliteSagas,
    pub(crate) database: Database,
    _directory: tempfile::TempDir,
}

pub(crate) fn namespace() -> Namespace {
    Namespace::prefixed("sales_").unwrap()
}

pub(crate) async fn fixture() -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("sales.db"))
        .await
        .unwrap();
    let sagas = SqliteSagas::builder(&database).namespace(namespace());
    let fixture = SqliteFixture {
        sagas: sagas.open().await.unwrap(),
        database,
        _directory: directory,
    };
    let effects = "CREATE TABLE effects (seq INTEGER PRIMARY KEY, effect TEXT NOT NULL)";
    let mut tx = fixture.database.begin().await.unwrap();
    sqlx::query(effects).execute(&mut *tx).await.unwrap();
    fixture.database.commit(tx).await.unwrap();
    fixture
}

#[async_trait]
impl Fixture for SqliteFixture {
    type Store = SqliteSagas;

    fn sagas(&self) -> SqliteSagas {
        self.sagas.clone()
    }

    async fn write(
        connection: &mut SqliteConnection,
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
            .fetch_all(self.database.reader())
            .await
            .unwrap()
    }
}

mainstay_saga::conformance!(fixture());

/// As another process opens it.
async fn other(fixture: &SqliteFixture) -> SqliteSagas {
    let database = Database::open(fixture.database.path()).await.unwrap();
    let sagas = SqliteSagas::builder(&database).namespace(namespace());
    sagas.open().await.unwrap()
}

#[tokio::test]
async fn timers_of_two_processes_fire_each_run_once() {
    let fixture = fixture().await;
    let other = other(&fixture).await;
    stores::timers_of_two_processes_fire_each_run_once(fixture, other).await;
}

#[tokio::test]
async fn reply_and_timer_race_for_a_run_and_one_of_them_wins() {
    let fixture = fixture().await;
    let other = other(&fixture).await;
    stores::reply_and_timer_race_for_a_run_and_one_of_them_wins(fixture, other).await;
}

one_process!(async { Some(fixture().await) };
    a_start_is_one_run_wherever_its_process_ends
    a_reply_is_one_transition_wherever_its_process_ends
    a_timer_fires_once_wherever_its_process_ends
);
