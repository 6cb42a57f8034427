//! On a PostgreSQL server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::postgres::{Database, classify};
use mainstay_outbox::PostgresOutbox;
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgConnection;

use super::{
    Shop,
    calls::{Where, relay_at_every_call, write_at_every_call},
};

struct PostgresShop {
    /// The test's own.
    database: Database,
    /// All processes': logging in costs more than everything else here. A session that a dead one was at is cleared up by the
    /// driver, as the server clears up after a session that ended.
    processes: Database,
    _server: TestDatabase,
}

/// None where there is no server.
async fn shop() -> Option<PostgresShop> {
    let server = Server::for_suite("outbox")?.database().await.unwrap();
    let url = server.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let named = format!("{url}{separator}application_name=process");
    let shop = PostgresShop {
        database: Database::connect(&url).await.unwrap(),
        processes: Database::connect(&named).await.unwrap(),
        _server: server,
    };
    shop.open().await;
    shop.run("CREATE TABLE entries (id TEXT PRIMARY KEY)").await;
    Some(shop)
}

impl PostgresShop {
    async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql)
            .execute(self.database.pool())
            .await
            .unwrap();
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let asked = sqlx::query_scalar(sql).fetch_one(self.database.pool());
        asked.await.unwrap()
    }
}

#[async_trait]
impl Shop for PostgresShop {
    type Database = Database;
    type Store = PostgresOutbox;

    async fn open(&self) -> (Arc<Database>, Arc<PostgresOutbox>) {
        let database = self.processes.clone();
        let builder = PostgresOutbox::builder(&database).shards(2);
        let outbox = builder.open().await.unwrap();
        (Arc::new(database), Arc::new(outbox))
    }

    async fn enter(
        connection: &mut PgConnection,
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
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM entries WHERE id = $1)")
            .bind(entry)
            .fetch_one(self.database.pool())
            .await
            .unwrap()
    }

    async fn rows(&self) -> usize {
        let rows = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_deferred)";
        self.count(rows).await.try_into().unwrap()
    }

    const LEASE: Duration = Duration::from_secs(60);

    /// The server has ended what all sessions were at.
    async fn outlive(&self) {
        let sessions = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'process' AND xact_start IS NOT NULL";
        let gone = async {
            while self.count(sessions).await > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let came_true = tokio::time::timeout(Duration::from_secs(60), gone).await;
        assert!(
            came_true.is_ok(),
            "transactions of a dead process stay open"
        );
        self.run("UPDATE outbox_relays SET lease_until = 0").await;
    }
}

#[tokio::test]
async fn a_transaction_that_enqueues_is_whole_or_nothing_at_every_call() {
    if let Some(shop) = shop().await {
        write_at_every_call(&shop, "postgres", Where::Around).await;
    }
}

#[tokio::test]
async fn a_transaction_that_enqueues_is_whole_or_nothing_in_the_midst_of_calls() {
    if let Some(shop) = shop().await {
        write_at_every_call(&shop, "postgres", Where::Anywhere).await;
    }
}

#[tokio::test]
async fn a_relay_loses_and_reorders_nothing_at_every_call() {
    if let Some(shop) = shop().await {
        relay_at_every_call(&shop, "postgres", Where::Around).await;
    }
}

#[tokio::test]
async fn a_relay_loses_and_reorders_nothing_in_the_midst_of_calls() {
    if let Some(shop) = shop().await {
        relay_at_every_call(&shop, "postgres", Where::Anywhere).await;
    }
}
