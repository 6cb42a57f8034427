//! Entries, and the events about them.

use mainstay_database::postgres::Database;
use mainstay_messaging::{Event, Message};
use mainstay_outbox::PostgresOutbox;
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
    const TOPIC: &'static str = TOPIC;
    const KIND: &'static str = "Entered";
}

/// The message about an entry.
pub fn message(topic: &'static str, entry: &Entry) -> Result<Message, Failure> {
    let entered = Entered {
        number: entry.number,
        attempt: entry.attempt.clone(),
    };
    let message = Message::builder().source("/chaos").id(&*entry.id);
    let message = message.event(&entered).topic(topic);
    let message = match &entry.key {
        Some(key) => message.key(&**key),
        None => message,
    };
    Ok(message.build()?)
}

/// The outbox beside the entries.
pub async fn outbox(database: &Database, shards: u16) -> Result<PostgresOutbox, Failure> {
    let outbox = PostgresOutbox::builder(database).shards(shards);
    Ok(outbox.open().await?)
}
