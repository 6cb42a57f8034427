//! Entries, and the events about them.

use std::sync::Arc;

use mainstay_database::postgres::Database;
use mainstay_messaging::{Key, Kind, Message, MessageId, Source, Topic, event, event::Event};
use mainstay_outbox::postgres::{Options, PostgresOutbox};
use mainstay_testkit::history::Entry;
use serde::{Deserialize, Serialize};

use crate::Failure;

/// The topic that writers publish to.
pub const TOPIC: &str = "entries";

/// The consumer name of workers.
pub const GROUP: &str = "effects";

/// That an entry was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
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
    let mut message = Message::with_id(
        MessageId::new(&*entry.id).map_err(Failure::at("an id"))?,
        Source::from_static("/chaos"),
        Topic::from_static(topic),
        Kind::from_static(Entered::KIND),
    );
    let entered = Entered {
        number: entry.number,
        attempt: entry.attempt.clone(),
    };
    event::encode(&entered, &mut message).map_err(Failure::at("an event"))?;
    Ok(match &entry.key {
        Some(key) => message.with_key(Key::new(&**key).map_err(Failure::at("a key"))?),
        None => message,
    })
}

/// The outbox beside the entries.
pub async fn outbox(database: &Database, shards: u16) -> Result<Arc<PostgresOutbox>, Failure> {
    let mut options = Options::default();
    options.shards = shards;
    let outbox = PostgresOutbox::open(database.clone(), options).await?;
    Ok(Arc::new(outbox))
}
