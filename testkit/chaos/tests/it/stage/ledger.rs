//! The tables that writers and workers write, and what they say about each other.

use mainstay_chaos::{GROUP, outbox};
use mainstay_database::{
    postgres::{Database, sqlx},
    sqlite,
};
use mainstay_dlq::DeadLetterQueue;
use mainstay_inbox::PostgresInbox;
use mainstay_testkit::{
    History,
    history::{Effect, Entry, Kept, Left, Moment, Ownership, Place},
};

use super::log;

/// How the history names shards of the outbox.
pub(crate) const SHARD: &str = "shard ";

/// The tables in one database, with an outbox and an inbox beside them.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    database: Database,
}

impl Ledger {
    /// Lays them out in an empty database.
    pub(crate) async fn lay_out(database: Database, shards: u16) -> Self {
        outbox(&database, shards).await.unwrap();
        let inbox = PostgresInbox::builder(&database).open().await.unwrap();
        DeadLetterQueue::builder(inbox).open().await.unwrap();
        let tables = sqlx::raw_sql(include_str!("ledger.sql"));
        tables.execute(database.pool()).await.unwrap();
        Self::over(database)
    }

    /// Tables that are there already.
    pub(crate) const fn over(database: Database) -> Self {
        Self { database }
    }

    /// The database.
    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }

    /// Everything that happened, from these tables and the broker's file.
    pub(crate) async fn history(&self, file: &sqlite::Database) -> History {
        let pool = self.database.pool();
        let owners = "SELECT shard, fence, by FROM ownership ORDER BY seq";
        let waiting = "SELECT key, envelope::json ->> 'id' FROM outbox
            UNION ALL SELECT key, envelope::json ->> 'id' FROM outbox_deferred";
        let effects = "SELECT key, number, id, attempt FROM effects ORDER BY seq";
        let committed = "SELECT key, number, id, attempt FROM entries ORDER BY key, number";
        // Offsets before effects: what they say is done must be there when it is looked for.
        let (offsets, takings) = log::told(file).await;
        let owners: Vec<_> = sqlx::query_as(owners).fetch_all(pool).await.unwrap();
        let effects = self.entries(effects).await.into_iter().map(|entry| Effect {
            consumer: GROUP.to_owned(),
            entry,
        });
        let waiting: Vec<_> = sqlx::query_as(waiting).fetch_all(pool).await.unwrap();
        let waiting = waiting.into_iter().map(|(key, id)| Left {
            at: Place::Outbox,
            key,
            id,
        });
        let kept = "SELECT key, message_id FROM dlq_messages ORDER BY id";
        let kept: Vec<_> = sqlx::query_as(kept).fetch_all(pool).await.unwrap();
        let kept = kept.into_iter().map(|(key, id)| Kept {
            consumer: GROUP.to_owned(),
            key,
            id,
            // When each was kept is not written down: at the latest by now.
            seen: Moment::default(),
        });
        let mut history = History {
            kept: kept.collect(),
            committed: self.entries(committed).await,
            published: log::published(file).await,
            readers: log::readers(file).await,
            effects: effects.collect(),
            ownership: owners.into_iter().map(ownership).collect(),
            offsets,
            left: waiting.collect(),
            ..History::default()
        };
        let seen = history.moment();
        for offset in &mut history.offsets {
            offset.seen = seen;
        }
        history.ownership.extend(takings);
        history.left.extend(history.undone());
        history
    }

    async fn entries(&self, sql: &'static str) -> Vec<Entry> {
        let rows: Vec<_> = sqlx::query_as(sql)
            .fetch_all(self.database.pool())
            .await
            .unwrap();
        let rows = rows.into_iter().map(|(key, number, id, attempt)| Entry {
            key: Some(key),
            number,
            id,
            attempt,
        });
        rows.collect()
    }
}

fn ownership((shard, fence, by): (Option<i32>, Option<i64>, String)) -> Ownership {
    let shard = shard.map(|shard| format!("{SHARD}{shard}"));
    match (shard, fence) {
        (Some(shard), Some(fence)) => Ownership::Taken { shard, fence, by },
        // The trigger does not know which fence was shown.
        (shard, fence) => Ownership::Recorded { shard, fence, by },
    }
}
