//! Which relay owns which shard.

use std::time::Duration;

use mainstay_database::postgres::Transaction;

use crate::{
    Error, ShardLease,
    postgres::{Inner, commit, driver, micros},
    round::with_causes,
    shard::fair_share,
};

/// Deduplication keys that one transaction forgets, and how many transactions a renewal of the lease spends on it.
const SWEEP: i64 = 1_000;
const SWEEPS: usize = 20;

impl Inner {
    /// One transaction under one lock: relays call one after the other, so all see one truth.
    pub(super) async fn lease(
        &self,
        owner: &str,
        lease: Duration,
    ) -> Result<Vec<ShardLease>, Error> {
        let sql = &self.statements;
        let mut tx = self.begin_turn().await?;
        sqlx::query(sql.live.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .bind(micros(lease))
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(sql.bury.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        let (relays, rank): (i64, i64) = sqlx::query_as(sql.relays.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .fetch_one(&mut *tx)
            .await
            .map_err(driver)?;
        let count = |count: i64| usize::try_from(count).unwrap_or_default();
        let shards = usize::from(self.options.shards.max(1));
        let share = fair_share(shards, count(relays), count(rank));
        let holds: Vec<(i32, i64)> = sqlx::query_as(sql.divide.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .bind(i64::try_from(share).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await?;
        if let Err(error) = self.forget_keys().await {
            tracing::warn!(error = %with_causes(&error), "old deduplication keys are kept until the next renewal");
        }
        Ok(holds
            .into_iter()
            .map(|(shard, fence)| ShardLease {
                shard: u16::try_from(shard).unwrap_or(u16::MAX),
                fence,
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

    /// Apart from the lease: others wait for that. In small transactions, until no old key is left or it has gone on
    /// for long enough: nothing is published meanwhile.
    async fn forget_keys(&self) -> Result<(), Error> {
        for _ in 0..SWEEPS {
            let mut tx = self.begin(&self.statements.begin_rows).await?;
            let forgotten = sqlx::query(self.statements.forget_keys.clone())
                .persistent(self.database.keeps_statements())
                .bind(micros(self.options.deduplication_key_retention))
                .bind(SWEEP)
                .execute(&mut *tx)
                .await
                .map_err(driver)?
                .rows_affected();
            commit(tx).await?;
            if forgotten < SWEEP.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn release(&self, owner: &str) -> Result<(), Error> {
        let mut tx = self.begin_turn().await?;
        sqlx::query(self.statements.leave.clone())
            .persistent(self.database.keeps_statements())
            .bind(owner)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        commit(tx).await
    }
}
