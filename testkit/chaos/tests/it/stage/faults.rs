//! Stops processes at the worst moment.

use std::collections::HashSet;

use mainstay_database::postgres::sqlx;

use super::{Actor, Stage, log, until};

impl Stage {
    /// Whether a session of this process is in a transaction.
    pub(crate) async fn is_in_transaction(&self, name: &str) -> bool {
        const IN_TRANSACTION: &str = "SELECT count(*) > 0 FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = $1 AND xact_start IS NOT NULL";
        let asked = sqlx::query_scalar(IN_TRANSACTION).bind(name);
        asked
            .fetch_one(self.ledger.database().pool())
            .await
            .unwrap()
    }

    /// Stops a process at a moment when it is in a transaction.
    pub(crate) async fn freeze_in_transaction(&self, actor: &Actor) {
        self.until("stopped in a transaction", async || {
            actor.freeze();
            if self.is_in_transaction(actor.name()).await {
                return true;
            }
            actor.thaw();
            false
        })
        .await;
    }

    /// Stops the relay that owns the only shard at a moment when it has sent something that it has not recorded.
    pub(crate) async fn freeze_unrecorded<'a>(&self, relays: &'a [Actor]) -> &'a Actor {
        until("stopped between an append and its record", async || {
            let owner = self.owner().await;
            let owner = relays.iter().find(|relay| relay.name() == owner)?;
            owner.freeze();
            if self.sent_and_unrecorded().await > 0 {
                return Some(owner);
            }
            owner.thaw();
            None
        })
        .await
    }

    /// How many entries are in the log and wait in the outbox all the same.
    async fn sent_and_unrecorded(&self) -> i64 {
        let log = log::published(&self.file).await;
        let sent: HashSet<&str> = log.iter().map(|record| &*record.entry.id).collect();
        let recorded = "SELECT (SELECT count(*) FROM entries) - (SELECT count(*) FROM outbox)";
        i64::try_from(sent.len()).unwrap() - self.count(recorded).await
    }

    /// The relay that took a shard last.
    pub(crate) async fn owner(&self) -> String {
        const OWNER: &str =
            "SELECT by FROM ownership WHERE fence IS NOT NULL ORDER BY seq DESC LIMIT 1";
        let pool = self.ledger.database().pool();
        sqlx::query_scalar(OWNER).fetch_one(pool).await.unwrap()
    }
}
