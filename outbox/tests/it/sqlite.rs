//! The outbox in a SQLite file.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use mainstay_database::{Transactions as _, sqlite::Database};
use mainstay_outbox::{
    Error,
    conformance::Fixture,
    sqlite::{Options, SqliteOutbox},
};

struct SqliteFixture {
    database: Database,
    store: Arc<SqliteOutbox>,
    _directory: tempfile::TempDir,
}

async fn open(path: &Path, shards: u16) -> Result<(Database, SqliteOutbox), Error> {
    let database = Database::open(path).await?;
    let mut options = Options::default();
    options.shards = shards;
    options.max_message_size = 10_000;
    let store = SqliteOutbox::open(database.clone(), options).await?;
    Ok((database, store))
}

async fn fixture() -> SqliteFixture {
    let directory = tempfile::tempdir().unwrap();
    let (database, store) = open(&directory.path().join("shop.db"), 4).await.unwrap();
    SqliteFixture {
        database,
        store: Arc::new(store),
        _directory: directory,
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    type Database = Database;
    type Store = SqliteOutbox;

    fn database(&self) -> &Database {
        &self.database
    }

    fn store(&self) -> Arc<SqliteOutbox> {
        Arc::clone(&self.store)
    }

    async fn other_process(&self) -> Arc<SqliteOutbox> {
        Arc::new(open(self.database.path(), 4).await.unwrap().1)
    }

    async fn open_with_five_shards(&self) -> Result<(), Error> {
        open(self.database.path(), 5).await.map(drop)
    }

    async fn damage(&self, id: &str) {
        let mut tx = self.database.begin().await.unwrap();
        let damaged = sqlx::query("UPDATE outbox SET envelope = '{' WHERE envelope ->> 'id' = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .unwrap();
        assert_eq!(damaged.rows_affected(), 1);
        self.database.commit(tx).await.unwrap();
    }

    async fn rows(&self) -> (usize, usize) {
        let (log, held): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox_held)",
        )
        .fetch_one(self.database.reader())
        .await
        .unwrap();
        (log.try_into().unwrap(), held.try_into().unwrap())
    }
}

mainstay_outbox::conformance!(fixture());
