//! Records and leases in memory.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_database::memory::{Connection, Database, Inserted, Record};
use mainstay_idempotency::{
    MemoryLeases, MemoryRecords,
    clock::{Clock, TokioClock},
    conformance::{Concurrent, LeasesFixture, RecordsFixture},
};

pub(crate) struct MemoryFixture {
    pub(crate) database: Database,
}

impl MemoryFixture {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock::default());
        Self {
            database: Database::builder().clock(clock).build(),
        }
    }
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
impl RecordsFixture for MemoryFixture {
    type Records = MemoryRecords;

    const CONCURRENT: Concurrent = Concurrent::LosesLater;

    fn records(&self) -> MemoryRecords {
        MemoryRecords::builder(&self.database).build()
    }

    async fn records_for(&self, lifetime: Duration) -> MemoryRecords {
        let records = MemoryRecords::builder(&self.database);
        records.lifetime(lifetime).build()
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
        let effects = self.database.committed::<Effect>();
        effects.iter().map(|effect| effect.text.clone()).collect()
    }

    async fn kept(&self) -> usize {
        self.records().kept()
    }
}

mod records {
    mainstay_idempotency::conformance!(records async { super::MemoryFixture::new() });
}

/// Time stands still while anything can go on.
pub(crate) struct Leased {
    clock: Arc<TokioClock>,
}

impl Leased {
    pub(crate) fn new() -> Self {
        tokio::time::pause();
        let clock = Arc::default();
        Self { clock }
    }
}

#[async_trait]
impl LeasesFixture for Leased {
    type Leases = MemoryLeases;

    async fn leases(&self) -> MemoryLeases {
        self.leases_for(Duration::from_secs(24 * 3600)).await
    }

    async fn leases_for(&self, lifetime: Duration) -> MemoryLeases {
        let leases = MemoryLeases::builder().clock(Arc::clone(&self.clock));
        leases.lifetime(lifetime).build()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::<TokioClock>::clone(&self.clock)
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

mod leases {
    mainstay_idempotency::conformance!(leases async { super::Leased::new() });
}
