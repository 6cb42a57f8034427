//! The tables that writers and workers write, and what they say about each other.

use std::sync::Arc;

use mainstay_database::{Namespace, postgres::Database, sqlite};
use mainstay_inbox::postgres::PostgresInbox;
use mainstay_messaging::{
    Key, Kind, Message, MessageId, Source, Topic, envelope, event, event::Event,
};
use mainstay_outbox::postgres::{Options, PostgresOutbox};
use serde::{Deserialize, Serialize};

use crate::{Entry, Failure, History, Ownership};

/// The topic that writers publish to.
pub const TOPIC: &str = "entries";

/// The consumer name of workers.
pub const GROUP: &str = "effects";

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
        Source::from_static("/torture"),
        Topic::from_static(topic),
        Kind::from_static(Entered::KIND),
    );
    let entered = Entered {
        number: entry.number,
        attempt: entry.attempt.clone(),
    };
    event::encode(&entered, &mut message)
        .map_err(|error| Failure::Unreadable(error.to_string()))?;
    Ok(message.with_key(Key::new(&*entry.key).map_err(unreadable)?))
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

    /// Everything that happened, from these tables and the log in the broker's file.
    pub async fn history(&self, file: &sqlite::Database) -> Result<History, Failure> {
        let pool = self.database.pool();
        let committed = "SELECT key, number, id, attempt FROM entries ORDER BY key, number";
        let effects = "SELECT key, number, id, attempt FROM effects ORDER BY seq";
        let owners = "SELECT shard, fence, by FROM ownership ORDER BY seq";
        let owners: Vec<(Option<i32>, Option<i64>, String)> =
            sqlx::query_as(owners).fetch_all(pool).await?;
        let ownership = owners.into_iter().map(|event| match event {
            (Some(shard), Some(fence), by) => Ownership::Taken { shard, fence, by },
            (shard, _, by) => Ownership::Removed { shard, by },
        });
        Ok(History {
            committed: self.entries(committed).await?,
            published: published(file).await?,
            effects: self.entries(effects).await?,
            waiting: sqlx::query_scalar(
                "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM outbox_held)",
            )
            .fetch_one(pool)
            .await?,
            ownership: ownership.collect(),
        })
    }

    async fn entries(&self, sql: &'static str) -> Result<Vec<Entry>, Failure> {
        let rows: Vec<(String, i64, String, String)> =
            sqlx::query_as(sql).fetch_all(self.database.pool()).await?;
        let entry = |(key, number, id, attempt)| Entry {
            key,
            number,
            id,
            attempt,
        };
        Ok(rows.into_iter().map(entry).collect())
    }
}

/// The whole log, partition by partition: from the file itself, which can be read whoever is stopped within a transaction on it.
pub async fn published(file: &sqlite::Database) -> Result<Vec<Entry>, Failure> {
    const LOG: &str = "SELECT p.topic, r.key, r.envelope, r.payload
        FROM broker_records r JOIN broker_partitions p ON p.id = r.id >> 40 ORDER BY r.id";
    let records: Vec<(String, String, String, Vec<u8>)> =
        sqlx::query_as(LOG).fetch_all(file.reader()).await?;
    records.into_iter().map(entry_of).collect()
}

fn entry_of(record: (String, String, String, Vec<u8>)) -> Result<Entry, Failure> {
    let (topic, key, text, payload) = record;
    let unreadable = || Failure::Unreadable(format!("the record {text}"));
    let topic = Topic::new(topic).map_err(|_| unreadable())?;
    let message =
        envelope::read(&text, topic, None, Some(payload.into())).map_err(|_| unreadable())?;
    let Entered { number, attempt } = event::decode(&message).map_err(|_| unreadable())?;
    Ok(Entry {
        key,
        number,
        id: message.id.to_string(),
        attempt,
    })
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
