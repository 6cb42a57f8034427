//! Leases and fences in memory.

use async_trait::async_trait;
use mainstay_database::memory::Database;
use mainstay_dlock::{MemoryFences, MemoryLeases, conformance::Fixture};

use crate::crash;

struct Memory {
    database: Database,
    leases: MemoryLeases,
    fences: MemoryFences,
}

async fn fixture() -> Memory {
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

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_lock() {
    crash::gives_up_at_every_await(&fixture().await, "memory").await;
}

#[tokio::test]
async fn a_process_that_dies_leaves_a_lease_that_ends() {
    crash::dies_at_every_call(&fixture().await, "memory").await;
}
