//! Which relay owns which shard.

use std::time::Duration;

use mainstay_database::postgres::Transaction;

use crate::{
    Error,
    postgres::{Inner, commit, driver, micros},
    round::with_causes,
    store::{FencingToken, ShardLease, fair_share},
};

/// Deduplication keys that one transaction removes, and transactions per renewal of the lease.
const PRUNE_BATCH: i64 = 1_000;
const PRUNE_TRANSACTIONS: usize = 20;

impl Inner {
    /// One transaction under one lock: relays divide shards one after the other, so all see the same
    /// state.
    pub(super) async fn lease(
        &self,
        owner: &str,
        lease: Duration,
    ) -> Result<Vec<ShardLease>, Error> {
        let sql = &self.statements;
        let mut tx = self.begin_turn().await?;
        sqlx::query(sql.renew_relay.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .bind(micros(lease))
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(sql.remove_dead_relays.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        let (relays, rank, may_prune): (i64, i64, bool) = sqlx::query_as(sql.relays.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .bind(micros(self.settings.deduplication_retention))
            .fetch_one(&mut *tx)
            .await
            .map_err(driver)?;
        let count = |count: i64| usize::try_from(count).unwrap_or_default();
        let shards = usize::from(self.settings.shards);
        let share = fair_share(shards, count(relays), count(rank));
        let leases: Vec<(i32, i64)> = sqlx::query_as(sql.divide.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .bind(i64::try_from(share).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await?;
        if may_prune && let Err(error) = self.prune_keys().await {
            tracing::warn!(error = %with_causes(&error), "old deduplication keys could not be removed; the next renewal of the lease tries again");
        }
        Ok(leases
            .into_iter()
            .map(|(shard, fence)| ShardLease {
                shard: u16::try_from(shard).unwrap_or(u16::MAX),
                fence: FencingToken::new(fence),
            })
            .collect())
    }

    /// A transaction in which no other relay divides shards.
    async fn begin_turn(&self) -> Result<Transaction, Error> {
        let mut tx = self.begin(&self.statements.begin_lease).await?;
        sqlx::query(self.statements.take_turn.clone())
            .persistent(self.database.keeps_statements())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        Ok(tx)
    }

    /// Apart from the lease, which other relays wait for, and in small transactions. It stops when no old
    /// key is left, or after some transactions: nothing is published meanwhile.
    async fn prune_keys(&self) -> Result<(), Error> {
        for _ in 0..PRUNE_TRANSACTIONS {
            let mut tx = self.begin(&self.statements.begin_rows).await?;
            let removed = sqlx::query(self.statements.prune_keys.clone())
                .persistent(self.database.keeps_statements())
                .bind(micros(self.settings.deduplication_retention))
                .bind(PRUNE_BATCH)
                .execute(&mut *tx)
                .await
                .map_err(driver)?
                .rows_affected();
            commit(tx).await?;
            if removed < PRUNE_BATCH.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn release(&self, owner: &str) -> Result<(), Error> {
        let mut tx = self.begin_turn().await?;
        sqlx::query(self.statements.remove_relay.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await
    }
}
