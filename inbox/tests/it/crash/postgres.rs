//! On a PostgreSQL server.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_messaging::{Group, Partition, Topic};

use super::{Service, work_at_every_call};
use crate::postgres::{PostgresFixture, fixture};

#[async_trait]
impl Service for PostgresFixture {
    /// The server has ended what all sessions of the service were at, and the broker has noticed.
    async fn outlive(&self, group: &Group, topic: &Topic) {
        let gone = async {
            while self.open_transactions().await > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let came_true = tokio::time::timeout(Duration::from_secs(60), gone).await;
        assert!(
            came_true.is_ok(),
            "transactions of a dead process stay open"
        );
        let partition = Partition {
            topic: topic.clone(),
            number: 0,
        };
        self.broker.faults().expel(group, &partition);
    }
}

#[tokio::test]
async fn a_worker_makes_every_effect_once_and_in_order_at_every_call() {
    if let Some(service) = fixture().await {
        work_at_every_call(service, "postgres", 1).await;
    }
}

#[tokio::test]
async fn a_worker_of_batches_makes_every_effect_once_and_in_order_at_every_call() {
    if let Some(service) = fixture().await {
        work_at_every_call(service, "postgres", 10).await;
    }
}
