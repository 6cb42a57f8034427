//! Leases and fences in memory.

use async_trait::async_trait;
use mainstay_database::memory::Database;
use mainstay_dlock::{MemoryFences, MemoryLeases, conformance::Fixture};

pub(super) struct Memory {
    database: Database,
    leases: MemoryLeases,
    fences: MemoryFences,
}

pub(super) async fn fixture() -> Memory {
    let database = Database::new();
    Memory {
        leases: MemoryLeases::builder(&database).open().await.unwrap(),
        fences: MemoryFences::builder(&database).open().await.unwrap(),
        database,
    }
}

#[async_trait]
impl Fixture for Memory {
    type Leases = MemoryLeases;
    type Database = Database;
    type Fences = MemoryFences;

    fn leases(&self) -> MemoryLeases {
        self.leases.clone()
    }

    async fn other_process(&self) -> MemoryLeases {
        let leases = MemoryLeases::builder(&self.database).open().await;
        leases.unwrap()
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn fences(&self) -> MemoryFences {
        self.fences.clone()
    }
}

mainstay_dlock::conformance!(fixture());
