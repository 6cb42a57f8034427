//! On a SQLite file.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::sqlite::{Database, classify};
use mainstay_outbox::SqliteOutbox;
use sqlx::SqliteConnection;

use super::{
    Shop,
    calls::{Where, relay_at_every_call, write_at_every_call},
};

struct SqliteShop {
    database: Database,
    directory: tempfile::TempDir,
}

async fn shop() -> SqliteShop {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("shop.db"))
        .await
        .unwrap();
    let shop = SqliteShop {
        database,
        directory,
    };
    shop.open().await;
    shop.run("CREATE TABLE entries (id TEXT PRIMARY KEY) STRICT")
        .await;
    shop
}

impl SqliteShop {
    async fn run(&self, sql: &'static str) {
        let mut tx = self.database.begin().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        self.database.commit(tx).await.unwrap();
    }
}

#[async_trait]
impl Shop for SqliteShop {
    type Database = Database;
    type Store = SqliteOutbox;

    async fn open(&self) -> (Arc<Database>, Arc<SqliteOutbox>) {
        let database = Database::open(self.directory.path().join("shop.db"))
            .await
            .unwrap();
        let builder = SqliteOutbox::builder(&database).shards(2);
        let outbox = builder.open().await.unwrap();
        (Arc::new(database), Arc::new(outbox))
    }

    async fn enter(
        connection: &mut SqliteConnection,
        entry: &str,
    ) -> Result<bool, mainstay_database::Error> {
        let entered = sqlx::query("INSERT INTO entries (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(entry)
            .execute(connection)
            .await
            .map_err(classify)?;
        Ok(entered.rows_affected() == 1)
    }

    async fn has(&self, entry: &str) -> bool {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM entries WHERE id = $1)")
            .bind(entry)
            .fetch_one(self.database.reader())
            .await
            .unwrap()
    }

    async fn rows(&self) -> usize {
        let rows: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_deferred)",
        )
        .fetch_one(self.database.reader())
        .await
        .unwrap();
        rows.try_into().unwrap()
    }

    const LEASE: Duration = Duration::from_secs(60);

    /// A writer comes behind every other one.
    async fn outlive(&self) {
        self.run("UPDATE outbox_relays SET lease_until = 0").await;
    }
}

#[tokio::test]
async fn a_transaction_that_enqueues_is_whole_or_nothing_at_every_call() {
    write_at_every_call(&shop().await, "sqlite", Where::Around).await;
}

#[tokio::test]
async fn a_transaction_that_enqueues_is_whole_or_nothing_in_the_midst_of_calls() {
    write_at_every_call(&shop().await, "sqlite", Where::Anywhere).await;
}

#[tokio::test]
async fn a_relay_loses_and_reorders_nothing_at_every_call() {
    relay_at_every_call(&shop().await, "sqlite", Where::Around).await;
}

#[tokio::test]
async fn a_relay_loses_and_reorders_nothing_in_the_midst_of_calls() {
    relay_at_every_call(&shop().await, "sqlite", Where::Anywhere).await;
}
