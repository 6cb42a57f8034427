//! Sagas in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record};
use mainstay_saga::{MemorySagas, conformance::Fixture};

struct MemoryFixture {
    database: Database,
}

#[derive(Clone, Debug)]
struct Effect {
    seq: i64,
    text: String,
}

impl Record for Effect {
    const TABLE: &'static str = "effects";
    type Key = i64;

    fn key(&self) -> i64 {
        self.seq
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    type Store = MemorySagas;

    fn sagas(&self) -> MemorySagas {
        MemorySagas::new(&self.database)
    }

    async fn write(
        connection: &mut Connection,
        effect: &str,
    ) -> Result<(), mainstay_database::Error> {
        let mut statement = connection.statement().await?;
        let seq = statement.next_value("effects_seq");
        let text = effect.to_owned();
        assert_eq!(statement.insert(Effect { seq, text }).await?, Inserted::New);
        Ok(())
    }

    async fn effects(&self) -> Vec<String> {
        let mut tx = self.database.begin().await.unwrap();
        let statement = tx.statement().await.unwrap();
        let effects = statement.scan::<Effect>(..);
        effects.into_iter().map(|effect| effect.text).collect()
    }
}

mainstay_saga::conformance!(async {
    MemoryFixture {
        database: Database::new(),
    }
});
