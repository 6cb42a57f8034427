//! The suite that every store passes.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_database::postgres::Database;
use mainstay_outbox::{
    Error,
    conformance::Fixture,
    postgres::{Options, PostgresOutbox},
};

use super::{Shop, open, shop_with};

pub(super) fn options(shards: u16) -> Options {
    let mut options = Options::default();
    options.shards = shards;
    options.max_message_size = 10_000;
    options
}

async fn fixture() -> Option<Shop> {
    shop_with(options(4)).await
}

#[async_trait]
impl Fixture for Shop {
    type Database = Database;
    type Store = PostgresOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    fn store(&self) -> PostgresOutbox {
        Arc::clone(&self.outbox)
    }

    async fn other_process(&self) -> PostgresOutbox {
        Arc::new(open(&self.server.url(), options(4)).await.unwrap().1)
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        open(&self.server.url(), options(5)).await.map(drop)
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
