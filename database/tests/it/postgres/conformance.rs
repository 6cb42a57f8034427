//! The suite on a server.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mainstay_database::conformance::Fixture;

use super::*;

struct PostgresFixture {
    database: Database,
    server: TestDatabase,
}

async fn fixture() -> Option<PostgresFixture> {
    let (database, server) = database().await?;
    Some(PostgresFixture { database, server })
}

const ALL: &str = "SELECT key, value FROM number";

fn read(rows: Vec<(i64, i64)>) -> BTreeMap<u32, i64> {
    let key = |key: i64| u32::try_from(key).unwrap();
    rows.into_iter().map(|(k, value)| (key(k), value)).collect()
}

#[async_trait]
impl Fixture for PostgresFixture {
    type Transactions = Database;

    fn transactions(&self) -> &Database {
        &self.database
    }

    async fn add(&self, on: &mut PgConnection, key: u32, amount: i64) -> Result<(), Error> {
        let add = "INSERT INTO number VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = number.value + excluded.value";
        let added = sqlx::query(add)
            .bind(i64::from(key))
            .bind(amount)
            .execute(on)
            .await;
        added.map(|_| ()).map_err(classify)
    }

    async fn all(&self, on: &mut PgConnection) -> Result<BTreeMap<u32, i64>, Error> {
        let all = sqlx::query_as(ALL).fetch_all(on).await.map_err(classify)?;
        Ok(read(all))
    }

    /// Through a pool of its own, as another process would.
    async fn committed(&self) -> BTreeMap<u32, i64> {
        let other = Database::connect(&self.server.url()).await.unwrap();
        let all = sqlx::query_as(ALL).fetch_all(other.pool()).await.unwrap();
        other.close().await;
        read(all)
    }
}

mainstay_database::conformance!(if_there fixture());
