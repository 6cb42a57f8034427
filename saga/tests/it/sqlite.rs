//! Sagas in a SQLite file.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    sqlite::{Database, classify},
};
use mainstay_saga::{SqliteSagas, conformance::Fixture};
use sqlx::SqliteConnection;

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
