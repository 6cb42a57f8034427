//! The tables that writers and workers write, and what they say about each other.

use std::sync::Arc;

use mainstay_database::{Namespace, postgres::Database, sqlite};
use mainstay_inbox::postgres::PostgresInbox;
use mainstay_messaging::{Key, Kind, Message, MessageId, Source, Topic, event, event::Event};
use mainstay_outbox::postgres::{Options, PostgresOutbox};
use mainstay_testkit::{
    History,
    history::{Effect, Entry, Left, Offset, Ownership, Place},
};
use serde::{Deserialize, Serialize};

use crate::{Failure, log};

/// The topic that writers publish to.
pub const TOPIC: &str = "entries";

/// The consumer name of workers.
pub const GROUP: &str = "effects";

/// How the history names shards of the outbox.
pub const SHARD: &str = "shard ";

/// That an entry was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make events, too")]
pub struct Entered {
    /// Its place in the order of its key's commits.
    pub number: i64,
    /// Which of the writer's attempts it was.
    pub attempt: String,
}

impl Event for Entered {
    const KIND: &'static str = "Entered";
    const VERSION: u32 = 1;
}

/// The message about an entry.
pub fn message(topic: &'static str, entry: &Entry) -> Result<Message, Failure> {
    let unreadable = |_| Failure::Unreadable(format!("{entry:?}"));
    let mut message = Message::with_id(
        MessageId::new(&*entry.id).map_err(unreadable)?,
        Source::from_static("/chaos"),
        Topic::from_static(topic),
        Kind::from_static(Entered::KIND),
    );
    let entered = Entered {
        number: entry.number,
        attempt: entry.attempt.clone(),
    };
    event::encode(&entered, &mut message)
        .map_err(|error| Failure::Unreadable(error.to_string()))?;
    Ok(match &entry.key {
        Some(key) => message.with_key(Key::new(&**key).map_err(unreadable)?),
        None => message,
    })
}

/// The tables in one database, with an outbox and an inbox beside them.
#[derive(Clone, Debug)]
pub struct Ledger {
    database: Database,
}

impl Ledger {
    /// Lays them out in an empty database.
    pub async fn lay_out(database: Database, shards: u16) -> Result<Self, Failure> {
        let mut options = Options::default();
        options.shards = shards;
        PostgresOutbox::open(database.clone(), options).await?;
        PostgresInbox::new(database.clone(), Namespace::plain())
            .migrate()
            .await?;
        sqlx::raw_sql(include_str!("ledger.sql"))
            .execute(database.pool())
            .await?;
        Ok(Self::over(database))
    }

    /// Tables that are there already.
    #[must_use]
    pub const fn over(database: Database) -> Self {
        Self { database }
    }

    /// The database.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Everything that happened, from these tables and the broker's file.
    pub async fn history(&self, file: &sqlite::Database) -> Result<History, Failure> {
        let pool = self.database.pool();
        let committed = "SELECT key, number, id, attempt FROM entries ORDER BY key, number";
        let effects = "SELECT key, number, id, attempt FROM effects ORDER BY seq";
        let owners = "SELECT shard, fence, by FROM ownership ORDER BY seq";
        let waiting = "SELECT key, envelope::json ->> 'id' FROM outbox
            UNION ALL SELECT key, envelope::json ->> 'id' FROM outbox_held";
        // Offsets before effects: what they say is done must be there when it is looked for.
        let log::Told { offsets, takings } = log::told(file).await?;
        let owners: Vec<(Option<i32>, Option<i64>, String)> =
            sqlx::query_as(owners).fetch_all(pool).await?;
        let effects = self.entries(effects).await?;
        let waiting: Vec<(Option<String>, String)> =
            sqlx::query_as(waiting).fetch_all(pool).await?;
        let mut history = History {
            committed: self.entries(committed).await?,
            published: log::published(file).await?,
            readers: log::readers(file).await?,
            effects: effects.into_iter().map(effect).collect(),
            ownership: owners.into_iter().map(ownership).collect(),
            left: waiting.into_iter().map(row).collect(),
            ..History::default()
        };
        let seen = history.moment();
        let offsets = offsets.into_iter();
        history.offsets = offsets.map(|offset| Offset { seen, ..offset }).collect();
        history.ownership.extend(takings);
        let undone = history.undone();
        history.left.extend(undone);
        Ok(history)
    }

    async fn entries(&self, sql: &'static str) -> Result<Vec<Entry>, Failure> {
        let rows: Vec<(String, i64, String, String)> =
            sqlx::query_as(sql).fetch_all(self.database.pool()).await?;
        let entry = |(key, number, id, attempt)| Entry {
            key: Some(key),
            number,
            id,
            attempt,
        };
        Ok(rows.into_iter().map(entry).collect())
    }
}

fn effect(entry: Entry) -> Effect {
    let consumer = GROUP.to_owned();
    Effect { consumer, entry }
}

fn ownership((shard, fence, by): (Option<i32>, Option<i64>, String)) -> Ownership {
    let shard = shard.map(|shard| format!("{SHARD}{shard}"));
    match (shard, fence) {
        (Some(shard), Some(fence)) => Ownership::Taken { shard, fence, by },
        // The trigger does not know which fence was shown.
        (shard, _) => Ownership::Recorded {
            shard,
            fence: None,
            by,
        },
    }
}

fn row((key, id): (Option<String>, String)) -> Left {
    let at = Place::Outbox;
    Left { at, key, id }
}

/// The outbox beside the tables.
pub(crate) async fn outbox(
    database: &Database,
    shards: u16,
) -> Result<Arc<PostgresOutbox>, Failure> {
    let mut options = Options::default();
    options.shards = shards;
    Ok(Arc::new(
        PostgresOutbox::open(database.clone(), options).await?,
    ))
}
