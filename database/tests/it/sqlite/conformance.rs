//! The suite on a file.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mainstay_database::conformance::Fixture;

use super::*;

struct SqliteFixture {
    database: Database,
    _directory: TempDir,
}

async fn fixture() -> SqliteFixture {
    let (database, directory) = database().await;
    SqliteFixture {
        database,
        _directory: directory,
    }
}

const ALL: &str = "SELECT key, value FROM number";

#[async_trait]
impl Fixture for SqliteFixture {
    type Transactions = Database;

    fn transactions(&self) -> &Database {
        &self.database
    }

    async fn add(
        &self,
        on: &mut sqlx::SqliteConnection,
        key: u32,
        amount: i64,
    ) -> Result<(), Error> {
        let add = "INSERT INTO number VALUES ($1, $2) ON CONFLICT DO UPDATE SET value = value + excluded.value";
        let added = sqlx::query(add).bind(key).bind(amount).execute(on).await;
        added.map(|_| ()).map_err(classify)
    }

    async fn all(&self, on: &mut sqlx::SqliteConnection) -> Result<BTreeMap<u32, i64>, Error> {
        let all: Vec<(u32, i64)> = sqlx::query_as(ALL).fetch_all(on).await.map_err(classify)?;
        Ok(all.into_iter().collect())
    }

    /// Through a handle of its own, as another process would.
    async fn committed(&self) -> BTreeMap<u32, i64> {
        let other = Database::open(self.database.path()).await.unwrap();
        let all = sqlx::query_as(ALL).fetch_all(other.reader()).await.unwrap();
        other.close().await;
        all.into_iter().collect()
    }
}

mainstay_database::conformance!(fixture());
