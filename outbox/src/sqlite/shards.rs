//! Which relay owns which shard.

use std::time::Duration;

use mainstay_clock::Clock as _;
use mainstay_messaging::envelope;
use sqlx::SqliteConnection;

use crate::{
    Error,
    round::with_causes,
    sqlite::{Inner, commit, driver},
    store::{FencingToken, ShardLease, fair_share},
};

/// Deduplication keys that one transaction removes. It takes few milliseconds, while other writers wait.
const PRUNE_BATCH: u32 = 1_000;

/// Which part of the lease its renewal may spend on removing keys: nothing is published meanwhile.
const PRUNE_SHARE: u32 = 100;

impl Inner {
    /// One IMMEDIATE transaction: relays divide shards one after the other, so all see the same state.
    pub(super) async fn lease(
        &self,
        owner: &str,
        lease: Duration,
    ) -> Result<Vec<ShardLease>, Error> {
        let (sql, clock) = (&self.statements, self.origin.clock());
        let mut tx = self.database.begin().await?;
        let (now, boot) = (clock.monotonic(), clock.boot_id());
        sqlx::query(sql.renew_relay.clone())
            .bind(owner)
            .bind(boot.as_str())
            .bind((now + lease).as_micros())
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        let (may_divide, may_prune): (bool, bool) = sqlx::query_as(sql.duties.clone())
            .bind(owner)
            .bind(boot.as_str())
            .bind(now.as_micros())
            .bind(self.keys_kept_since())
            .fetch_one(&mut *tx)
            .await
            .map_err(driver)?;
        if may_divide {
            sqlx::query(sql.remove_dead_relays.clone())
                .bind(owner)
                .bind(boot.as_str())
                .bind(now.as_micros())
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
            sqlx::query(sql.free_shards.clone())
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
        }
        let relays: Vec<String> = sqlx::query_scalar(sql.relays.clone())
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        let rank = relays.iter().take_while(|other| *other != owner).count();
        let shards = usize::from(self.settings.shards);
        let share = fair_share(shards, relays.len(), rank);
        let mut leases = self.leases(&mut tx, owner).await?;
        if may_divide || leases.len() > share {
            for statement in [&sql.give_up_surplus, &sql.take_share] {
                sqlx::query(statement.clone())
                    .bind(owner)
                    .bind(i64::try_from(share).unwrap_or(i64::MAX))
                    .execute(&mut *tx)
                    .await
                    .map_err(driver)?;
            }
            leases = self.leases(&mut tx, owner).await?;
        }
        commit(tx).await?;
        if may_prune && let Err(error) = self.prune_keys(lease / PRUNE_SHARE).await {
            tracing::warn!(error = %with_causes(&error), "old deduplication keys could not be removed; the next renewal of the lease tries again");
        }
        Ok(leases)
    }

    async fn leases(
        &self,
        connection: &mut SqliteConnection,
        owner: &str,
    ) -> Result<Vec<ShardLease>, Error> {
        let leases: Vec<(u16, i64)> = sqlx::query_as(self.statements.leases.clone())
            .bind(owner)
            .fetch_all(connection)
            .await
            .map_err(driver)?;
        let lease = |(shard, fence)| ShardLease {
            shard,
            fence: FencingToken::new(fence),
        };
        Ok(leases.into_iter().map(lease).collect())
    }

    /// Before when a deduplication key is old, in microseconds; none = never.
    fn keys_kept_since(&self) -> Option<i64> {
        let retention = self.settings.deduplication_retention;
        let since = self.origin.clock().now().checked_sub(retention)?;
        Some(envelope::micros_since_epoch(since))
    }

    /// Removes old deduplication keys in small transactions, so that other writers come in between. It
    /// stops when none is left or the time is up; the next renewals remove the rest.
    async fn prune_keys(&self, time: Duration) -> Result<(), Error> {
        let clock = self.origin.clock();
        let kept_since = self.keys_kept_since();
        let ends = clock.monotonic() + time;
        loop {
            let mut tx = self.database.begin().await?;
            let removed = sqlx::query(self.statements.prune_keys.clone())
                .bind(kept_since)
                .bind(PRUNE_BATCH)
                .execute(&mut *tx)
                .await
                .map_err(driver)?
                .rows_affected();
            commit(tx).await?;
            if removed < u64::from(PRUNE_BATCH) || ends.has_passed_at(clock.monotonic()) {
                return Ok(());
            }
        }
    }

    pub(super) async fn release(&self, owner: &str) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        for statement in [&self.statements.give_up, &self.statements.remove_relay] {
            sqlx::query(statement.clone())
                .bind(owner)
                .execute(&mut *tx)
                .await
                .map_err(driver)?;
        }
        commit(tx).await
    }
}
