//! On SQLite files.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_inbox::{conformance::Fixture as _, store::WorkerStore as _};
use mainstay_messaging::{Group, Topic};

use super::{Service, work_at_every_call};
use crate::sqlite::{SqliteFixture, fixture_with};

#[async_trait]
impl Service for SqliteFixture {
    /// A writer comes behind every other one.
    async fn outlive(&self, _: &Group, _: &Topic) {
        let inbox = self.inbox();
        let database = inbox.database();
        let tx = database.begin().await.unwrap();
        database.commit(tx).await.unwrap();
    }
}

/// So short that the next member need not wait for long.
const LEASE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_worker_makes_every_effect_once_and_in_order_at_every_call() {
    work_at_every_call(fixture_with(LEASE).await, "sqlite", 1).await;
}

#[tokio::test]
async fn a_worker_of_batches_makes_every_effect_once_and_in_order_at_every_call() {
    work_at_every_call(fixture_with(LEASE).await, "sqlite", 10).await;
}
