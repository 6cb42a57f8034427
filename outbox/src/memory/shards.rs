//! Which relay owns which shard.

use std::time::Duration;

use mainstay_database::{
    Transactions as _,
    memory::{Connection, Inserted, Locked, Strength, Wait},
};

use super::{
    Inner,
    records::{EnqueueKeyRow, LayoutRow, RelayRow, ShardRow},
};
use crate::{Error, Hold, due::later, shard::fair_share};

impl Inner {
    pub(super) async fn lease(&self, owner: &str, lease: Duration) -> Result<Vec<Hold>, Error> {
        let mut tx = self.database.begin().await?;
        // Relays call one after the other; the statements that follow the lock see one truth.
        lock_layout(&mut tx).await?;
        let relays = self.living(&mut tx, owner, lease).await?;
        let shards = tx.statement().await?.scan::<ShardRow>(..);
        let rank = relays.iter().take_while(|other| *other != owner).count();
        let share = fair_share(shards.len(), relays.len(), rank);
        let is_mine = |shard: &ShardRow| shard.owner.as_deref() == Some(owner);
        let is_free = |shard: &ShardRow| {
            shard
                .owner
                .as_ref()
                .is_none_or(|owner| !relays.contains(owner))
        };
        let mut holds = Vec::new();
        let mut statement = tx.statement().await?;
        for shard in shards.iter().filter(|shard| is_mine(shard)) {
            if holds.len() < share {
                holds.push(Hold {
                    shard: shard.shard,
                    fence: shard.fence,
                });
            } else {
                let give_up = |row: &mut ShardRow| {
                    row.owner = None;
                    true
                };
                statement.update(&shard.shard, give_up).await?;
            }
        }
        for shard in shards.iter().filter(|shard| is_free(shard)) {
            if holds.len() == share {
                break;
            }
            let fence = shard.fence + 1;
            let take = |row: &mut ShardRow| {
                row.owner = Some(owner.to_owned());
                row.fence = fence;
                true
            };
            statement.update(&shard.shard, take).await?;
            holds.push(Hold {
                shard: shard.shard,
                fence,
            });
        }
        drop(statement);
        self.forget_enqueue_keys(&mut tx).await?;
        self.database.commit(tx).await?;
        holds.sort_by_key(|hold| hold.shard);
        Ok(holds)
    }

    /// Renews the relay's lease and removes those that have ended; names of the living in order.
    async fn living(
        &self,
        tx: &mut Connection,
        owner: &str,
        lease: Duration,
    ) -> Result<Vec<String>, Error> {
        let mut statement = tx.statement().await?;
        let now = statement.now();
        let relay = RelayRow {
            owner: owner.to_owned(),
            lease_until: later(now, lease),
        };
        let lease_until = relay.lease_until;
        let _: Inserted = statement
            .upsert(relay, |row| row.lease_until = lease_until)
            .await?;
        for relay in statement.scan::<RelayRow>(..) {
            if relay.owner != owner {
                let has_ended = |row: &RelayRow| row.lease_until <= now;
                statement.delete(&relay.owner, has_ended).await?;
            }
        }
        drop(statement);
        let living = tx.statement().await?.scan::<RelayRow>(..);
        Ok(living.into_iter().map(|relay| relay.owner).collect())
    }

    async fn forget_enqueue_keys(&self, tx: &mut Connection) -> Result<(), Error> {
        let mut statement = tx.statement().await?;
        let kept_since = statement
            .now()
            .checked_sub(self.options.enqueue_key_retention);
        let is_old = |row: &EnqueueKeyRow| kept_since.is_some_and(|since| row.used_at < since);
        for row in statement.select(.., 1_000, is_old) {
            statement.delete(&row.enqueue_key, is_old).await?;
        }
        Ok(())
    }

    pub(super) async fn release(&self, owner: &str) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        lock_layout(&mut tx).await?;
        let mut statement = tx.statement().await?;
        for shard in statement.scan::<ShardRow>(..) {
            let give_up = |row: &mut ShardRow| {
                let is_mine = row.owner.as_deref() == Some(owner);
                if is_mine {
                    row.owner = None;
                }
                is_mine
            };
            statement.update(&shard.shard, give_up).await?;
        }
        statement
            .delete(&owner.to_owned(), |_: &RelayRow| true)
            .await?;
        drop(statement);
        Ok(self.database.commit(tx).await?)
    }
}

async fn lock_layout(tx: &mut Connection) -> Result<(), Error> {
    let _: Locked<LayoutRow> = tx
        .statement()
        .await?
        .lock(&(), Strength::Update, Wait::Block)
        .await?;
    Ok(())
}
