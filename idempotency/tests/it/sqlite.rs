//! Records in a SQLite file.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use async_trait::async_trait;
use mainstay_database::{Namespace, sqlite::Database};
use mainstay_idempotency::{
    SqliteRecords,
    conformance::{Concurrent, RecordsFixture},
};
use sqlx::SqliteConnection;

pub(crate) struct SqliteFixture {
    pub(crate) database: Database,
    records: SqliteRecords,
    _directory: tempfile::TempDir,
}

pub(crate) async fn fixture() -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service.db");
    let database = Database::open(path).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let create = "CREATE TABLE effects (seq INTEGER PRIMARY KEY, effect TEXT NOT NULL)";
    sqlx::query(create).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
    SqliteFixture {
        records: builder(&database).open().await.unwrap(),
        database,
        _directory: directory,
    }
}

fn builder(database: &Database) -> mainstay_idempotency::RecordsBuilder<Database> {
    let namespace = Namespace::prefixed("shop_").unwrap();
    SqliteRecords::builder(database).namespace(namespace)
}

#[async_trait]
impl RecordsFixture for SqliteFixture {
    type Records = SqliteRecords;

    const CONCURRENT: Concurrent = Concurrent::Waits;

    fn records(&self) -> SqliteRecords {
        self.records.clone()
    }

    async fn records_for(&self, lifetime: Duration) -> SqliteRecords {
        let records = builder(&self.database).lifetime(lifetime);
        records.open_without_migrating().await.unwrap()
    }

    async fn write(
        connection: &mut SqliteConnection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        sqlx::query("INSERT INTO effects (effect) VALUES ($1)")
            .bind(effect)
            .execute(connection)
            .await
            .map_err(mainstay_database::sqlite::classify)?;
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT effect FROM effects ORDER BY seq")
            .fetch_all(self.database.reader())
            .await
            .unwrap()
    }

    async fn kept(&self) -> usize {
        let records: i64 = sqlx::query_scalar("SELECT count(*) FROM shop_idempotency_records")
            .fetch_one(self.database.reader())
            .await
            .unwrap();
        usize::try_from(records).unwrap()
    }
}

mainstay_idempotency::conformance!(records fixture());
