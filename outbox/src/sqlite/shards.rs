//! Which relay owns which shard.

use std::time::Duration;

use mainstay_clock::Clock as _;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope;

use crate::{
    Error, Hold,
    shard::fair_share,
    sqlite::{Inner, driver},
};

impl Inner {
    /// One IMMEDIATE transaction: relays call one after the other, so all see one truth.
    pub(super) async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, Error> {
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
        let forget = clock
            .now()
            .checked_sub(self.options.enqueue_key_retention)
            .map_or(i64::MIN, envelope::micros_since_epoch);
        sqlx::query(sql.forget_keys.clone())
            .bind(forget)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        self.database.commit(tx).await?;
        Ok(holds
            .into_iter()
            .map(|(shard, fence)| Hold { shard, fence })
            .collect())
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
