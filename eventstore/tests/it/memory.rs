//! Streams in memory.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record};
use mainstay_eventstore::{
    MemoryEventStore, clock::TokioClock, conformance::Fixture, memory::EventRow, store::StoredEvent,
};

pub(crate) struct MemoryFixture {
    pub(crate) database: Database,
    store: MemoryEventStore,
}

impl MemoryFixture {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock::default());
        let database = Database::builder().clock(clock).build();
        let store = MemoryEventStore::builder(&database).build();
        Self { database, store }
    }
}

#[derive(Clone, Debug)]
struct Row {
    seq: i64,
    text: String,
}

impl Record for Row {
    const TABLE: &'static str = "rows";
    type Key = i64;

    fn key(&self) -> i64 {
        self.seq
    }
}

#[async_trait]
impl Fixture for MemoryFixture {
    type Store = MemoryEventStore;

    fn store(&self) -> &MemoryEventStore {
        &self.store
    }

    async fn put(&self, stream: &str, event: StoredEvent) {
        let mut tx = self.database.begin().await.unwrap();
        let mut statement = tx.statement().await.unwrap();
        let inserted = statement.insert(EventRow::new(stream, event)).await;
        assert_eq!(inserted.unwrap(), Inserted::New);
        drop(statement);
        self.database.commit(tx).await.unwrap();
    }

    async fn write(connection: &mut Connection, row: &str) -> Result<(), mainstay_database::Error> {
        let mut statement = connection.statement().await?;
        let seq = statement.next_value("rows_seq");
        let text = row.to_owned();
        assert_eq!(statement.insert(Row { seq, text }).await?, Inserted::New);
        Ok(())
    }

    async fn clear(connection: &mut Connection) -> Result<(), mainstay_database::Error> {
        let mut statement = connection.statement().await?;
        for row in statement.scan::<Row>(..) {
            assert!(statement.delete(&row.seq, |_: &Row| true).await?);
        }
        Ok(())
    }

    async fn rows(&self) -> Vec<String> {
        let rows = self.database.committed::<Row>();
        rows.iter().map(|row| row.text.clone()).collect()
    }

    async fn until_one_waits(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

mainstay_eventstore::conformance!(async { MemoryFixture::new() });
