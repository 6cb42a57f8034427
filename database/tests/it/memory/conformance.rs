//! The suite on the in-memory tables.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mainstay_database::conformance::Fixture;

use super::*;

struct MemoryFixture(Database);

#[expect(clippy::unused_async, reason = "the suite awaits its fixture")]
async fn fixture() -> MemoryFixture {
    MemoryFixture(Database::new())
}

#[async_trait]
impl Fixture for MemoryFixture {
    type Transactions = Database;

    fn transactions(&self) -> &Database {
        &self.0
    }

    async fn add(&self, on: &mut Connection, key: u32, amount: i64) -> Result<(), Error> {
        let (id, value) = (key, amount);
        let mut statement = on.statement().await?;
        let upserted = statement.upsert(Row { id, value }, |row| row.value += amount);
        upserted.await.map(|_| ())
    }

    async fn all(&self, on: &mut Connection) -> Result<BTreeMap<u32, i64>, Error> {
        let rows: Vec<Row> = on.statement().await?.scan(..);
        Ok(rows.into_iter().map(|row| (row.id, row.value)).collect())
    }

    async fn committed(&self) -> BTreeMap<u32, i64> {
        let mut reader = self.0.begin().await.unwrap();
        self.all(&mut reader).await.unwrap()
    }
}

mainstay_database::conformance!(fixture());
