//! The outbox in PostgreSQL.

mod testkit;

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_database::{Transactions as _, postgres::Database};
use mainstay_outbox::{
    Error,
    conformance::Fixture,
    postgres::{Options, PostgresOutbox},
};
use testkit::{Server, TestDatabase};

struct PostgresFixture {
    database: Database,
    store: Arc<PostgresOutbox>,
    server: TestDatabase,
}

async fn open(url: &str, shards: u16) -> Result<(Database, PostgresOutbox), Error> {
    let database = Database::connect(url).await?;
    let mut options = Options::default();
    options.shards = shards;
    options.max_message_size = 10_000;
    let store = PostgresOutbox::open(database.clone(), options).await?;
    Ok((database, store))
}

async fn fixture() -> Option<PostgresFixture> {
    let server = Server::for_suite("outbox")?.database().await.unwrap();
    let (database, store) = open(&server.url(), 4).await.unwrap();
    // Logging in takes longer than some of the delays that the cases wait for.
    let logged_in = async || database.begin().await.unwrap();
    drop(tokio::join!(
        logged_in(),
        logged_in(),
        logged_in(),
        logged_in()
    ));
    Some(PostgresFixture {
        database,
        store: Arc::new(store),
        server,
    })
}

#[async_trait]
impl Fixture for PostgresFixture {
    type Database = Database;
    type Store = PostgresOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    fn store(&self) -> Arc<PostgresOutbox> {
        Arc::clone(&self.store)
    }

    async fn other_process(&self) -> Arc<PostgresOutbox> {
        Arc::new(open(&self.server.url(), 4).await.unwrap().1)
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        open(&self.server.url(), 5).await.map(drop)
    }

    async fn damage(&self, id: &str) {
        let damaged =
            sqlx::query("UPDATE outbox SET envelope = '{' WHERE envelope::json ->> 'id' = $1")
                .bind(id)
                .execute(self.database.pool())
                .await
                .unwrap();
        assert_eq!(damaged.rows_affected(), 1);
    }

    async fn rows(&self) -> (usize, usize) {
        let (log, held): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox_held)",
        )
        .fetch_one(self.database.pool())
        .await
        .unwrap();
        (log.try_into().unwrap(), held.try_into().unwrap())
    }
}

mainstay_outbox::conformance!(if_there fixture());
