//! The conformance suite.

use async_trait::async_trait;
use mainstay_database::postgres::Database;
use mainstay_outbox::{Error, OutboxBuilder, PostgresOutbox, conformance::Fixture};

use super::{Shop, open, shop_with};

/// The settings that the suite asks for.
pub(super) fn with_shards(
    shards: u16,
) -> impl FnOnce(OutboxBuilder<Database>) -> OutboxBuilder<Database> {
    move |outbox| outbox.shards(shards).max_message_size(10_000)
}

async fn fixture() -> Option<Shop> {
    shop_with(with_shards(4)).await
}

#[async_trait]
impl Fixture for Shop {
    type Database = Database;
    type Store = PostgresOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    async fn foreign_database(&self) -> Database {
        Database::from(self.pool())
    }

    fn store(&self) -> PostgresOutbox {
        self.outbox.clone()
    }

    async fn other_process(&self) -> PostgresOutbox {
        let opened = open(&self.server.url(), with_shards(4)).await;
        opened.unwrap().1
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        let opened = open(&self.server.url(), with_shards(5)).await;
        opened.map(drop)
    }

    async fn damage(&self, id: &str) {
        let damaged =
            sqlx::query("UPDATE outbox SET envelope = '{' WHERE envelope::json ->> 'id' = $1")
                .bind(id)
                .execute(self.pool())
                .await
                .unwrap();
        assert_eq!(damaged.rows_affected(), 1);
    }

    async fn rows(&self) -> (usize, usize) {
        let (log, deferred): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox_deferred)",
        )
        .fetch_one(self.pool())
        .await
        .unwrap();
        (log.try_into().unwrap(), deferred.try_into().unwrap())
    }
}

mainstay_outbox::conformance!(if_there fixture());
