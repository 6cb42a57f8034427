//! Streams in a SQLite file.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::SystemTime;

use async_trait::async_trait;
use mainstay_database::{
    Namespace,
    sqlite::{Database, classify},
};
use mainstay_eventstore::{
    EventStoreBuilder, SqliteEventStore, conformance::Fixture, store::StoredEvent,
};
use sqlx::SqliteConnection;

pub(crate) struct SqliteFixture {
    pub(crate) database: Database,
    store: SqliteEventStore,
    _directory: tempfile::TempDir,
}

pub(crate) async fn fixture() -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("service.db");
    let database = Database::open(path).await.unwrap();
    let mut tx = database.begin().await.unwrap();
    let create = "CREATE TABLE rows (seq INTEGER PRIMARY KEY, text TEXT NOT NULL)";
    sqlx::query(create).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
    SqliteFixture {
        store: builder(&database).open().await.unwrap(),
        database,
        _directory: directory,
    }
}

fn builder(database: &Database) -> EventStoreBuilder<Database> {
    let namespace = Namespace::prefixed("shop_").unwrap();
    SqliteEventStore::builder(database).namespace(namespace)
}

#[async_trait]
impl Fixture for SqliteFixture {
    type Store = SqliteEventStore;

    fn store(&self) -> &SqliteEventStore {
        &self.store
    }

    async fn put(&self, stream: &str, event: StoredEvent) {
        let at = event.recorded_at.duration_since(SystemTime::UNIX_EPOCH);
        let mut tx = self.database.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO shop_eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(stream)
        .bind(i64::try_from(event.version).unwrap())
        .bind(event.kind)
        .bind(event.schema_version)
        .bind(event.payload)
        .bind(i64::try_from(at.unwrap().as_micros()).unwrap())
        .execute(&mut *tx)
        .await
        .unwrap();
        self.database.commit(tx).await.unwrap();
    }

    async fn write(
        connection: &mut SqliteConnection,
        row: &str,
    ) -> Result<(), mainstay_database::Error> {
        let write = sqlx::query("INSERT INTO rows (text) VALUES ($1)").bind(row);
        write.execute(connection).await.map_err(classify)?;
        Ok(())
    }

    async fn clear(connection: &mut SqliteConnection) -> Result<(), mainstay_database::Error> {
        let clear = sqlx::query("DELETE FROM rows");
        clear.execute(connection).await.map_err(classify)?;
        Ok(())
    }

    async fn rows(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT text FROM rows ORDER BY seq")
            .fetch_all(self.database.reader())
            .await
            .unwrap()
    }

    /// It waits for the one writer, which nobody can see.
    async fn until_one_waits(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

mainstay_eventstore::conformance!(fixture());
