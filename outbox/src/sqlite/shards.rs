//! Which relay owns which shard.

use std::time::Duration;

use mainstay_clock::Clock as _;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope;

use crate::{
    Error, ShardLease,
    round::with_causes,
    shard::fair_share,
    sqlite::{Inner, driver},
};

/// Deduplication keys that one transaction forgets: few milliseconds, whatever waits behind it.
const SWEEP: u32 = 1_000;

/// Which part of a lease its renewal may go on forgetting: nothing is published meanwhile.
const SWEEP_SHARE: u32 = 100;

impl Inner {
    /// One IMMEDIATE transaction: relays call one after the other, so all see one truth.
    pub(super) async fn lease(
        &self,
        owner: &str,
        lease: Duration,
    ) -> Result<Vec<ShardLease>, Error> {
        let (sql, clock) = (&self.statements, &self.options.clock);
        let mut tx = self.database.begin().await?;
        let (now, boot) = (clock.monotonic(), clock.boot_id());
        sqlx::query(sql.live.clone())
            .bind(owner)
            .bind(boot.as_str())
            .bind((now + lease).as_micros())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(sql.bury.clone())
            .bind(owner)
            .bind(boot.as_str())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(sql.orphan.clone())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        let relays: Vec<String> = sqlx::query_scalar(sql.relays.clone())
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        let rank = relays.iter().take_while(|other| *other != owner).count();
        let shards = usize::from(self.options.shards.max(1));
        let share = i64::try_from(fair_share(shards, relays.len(), rank)).unwrap_or(i64::MAX);
        for statement in [&sql.surrender, &sql.take] {
            sqlx::query(statement.clone())
                .bind(owner)
                .bind(share)
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
        }
        let holds: Vec<(u16, i64)> = sqlx::query_as(sql.holds.clone())
            .bind(owner)
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        self.database.commit(tx).await?;
        if let Err(error) = self.forget_keys(lease / SWEEP_SHARE).await {
            tracing::warn!(error = %with_causes(&error), "old deduplication keys are kept until the next renewal");
        }
        Ok(holds
            .into_iter()
            .map(|(shard, fence)| ShardLease { shard, fence })
            .collect())
    }

    /// Forgets old deduplication keys, in small transactions of their own so that other writers come in between, until none
    /// is left or the time is up: what is left then goes at the next renewals.
    async fn forget_keys(&self, time: Duration) -> Result<(), Error> {
        let clock = &self.options.clock;
        let Some(kept_since) = clock
            .now()
            .checked_sub(self.options.deduplication_key_retention)
        else {
            return Ok(());
        };
        let kept_since = envelope::micros_since_epoch(kept_since);
        let ends = clock.monotonic() + time;
        loop {
            let mut tx = self.database.begin().await?;
            let forgotten = sqlx::query(self.statements.forget_keys.clone())
                .bind(kept_since)
                .bind(SWEEP)
                .execute(&mut *tx)
                .await
                .map_err(driver)?
                .rows_affected();
            self.database.commit(tx).await?;
            if forgotten < u64::from(SWEEP) || ends.has_passed_at(clock.monotonic()) {
                return Ok(());
            }
        }
    }

    pub(super) async fn release(&self, owner: &str) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        for statement in [&self.statements.give_up, &self.statements.leave] {
            sqlx::query(statement.clone())
                .bind(owner)
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
        }
        Ok(self.database.commit(tx).await?)
    }
}
