//! What a service tells, and what it did: outbox rows with the record that `commerce verify` compares them with.

use std::sync::Arc;

use commerce_contracts::Contract;
use mainstay_clock::Clock;
use mainstay_database::Migrations;
use mainstay_messaging::{Message, envelope::micros_since_epoch};
use mainstay_outbox::{Entry, Outbox as _};

use crate::{
    Connection, Result,
    db::{Outbox, rows, sql},
};

/// The journal's tables.
pub const JOURNAL_MIGRATIONS: Migrations = crate::migrations!("journal", "0001_journal");

/// The header that names the aggregate.
const AGGREGATE_ID: &str = "aggregateid";
/// The header that counts its messages.
const AGGREGATE_VERSION: &str = "aggregateversion";

/// An aggregate as it counts what it tells: 1, 2, 3 … without gaps.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Aggregate {
    id: String,
    version: i64,
}

impl Aggregate {
    /// An aggregate that has told `version` messages so far.
    pub fn new(id: impl Into<String>, version: i64) -> Self {
        Self {
            id: id.into(),
            version,
        }
    }

    /// How many messages it has told.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }
}

/// What made a service tell something.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cause<'a> {
    /// Id of the message; none = a request from outside.
    pub message_id: Option<&'a str>,
    /// What ties everything together that one request set off; none = the order's id.
    pub correlation_id: Option<&'a str>,
}

impl<'a> From<&'a Message> for Cause<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            message_id: Some(message.id.as_str()),
            correlation_id: message.correlation_id.as_deref(),
        }
    }
}

/// That a message was handled.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Effect {
    name: String,
    event_id: String,
    outcome: &'static str,
}

impl Effect {
    /// The effect of `message`, known by its kind and a natural key: of an order, for most.
    pub fn of(message: &Message, key: impl AsRef<str>, outcome: &'static str) -> Self {
        Self {
            name: format!("{}:{}", message.kind, key.as_ref()),
            event_id: message.id.as_str().to_owned(),
            outcome,
        }
    }
}

/// A service's way to tell and to note. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Journal {
    outbox: Outbox,
    clock: Arc<dyn Clock>,
}

impl Journal {
    pub(crate) const fn new(outbox: Outbox, clock: Arc<dyn Clock>) -> Self {
        Self { outbox, clock }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }

    /// A message of `aggregate`, which counts it, caused by `cause`.
    ///
    /// # Errors
    /// [`Error::Outbox`](crate::Error::Outbox): the contract does not serialise, or its order id is no key.
    pub fn message<C: Contract>(
        &self,
        aggregate: &mut Aggregate,
        contract: &C,
        cause: Cause<'_>,
    ) -> Result<Message> {
        aggregate.version += 1;
        let mut message = self.outbox.message(contract)?;
        let order = contract.order_id().as_str();
        message.subject = Some(order.to_owned());
        message.headers.append(AGGREGATE_ID, aggregate.id.clone());
        message
            .headers
            .append(AGGREGATE_VERSION, aggregate.version.to_string());
        message.correlation_id = Some(cause.correlation_id.unwrap_or(order).to_owned());
        message.causation_id = cause.message_id.map(str::to_owned);
        Ok(message)
    }

    /// Puts `messages` into the outbox, in their order, and notes that they were told.
    ///
    /// # Errors
    /// What the database or the outbox refused; roll back.
    pub async fn tell(&self, connection: &mut Connection, messages: &[Message]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let noted: Vec<_> = messages
            .iter()
            .map(|message| {
                let header = |name| {
                    let value = message.headers.get(name);
                    value.and_then(|value| str::from_utf8(value).ok())
                };
                let version = header(AGGREGATE_VERSION).and_then(|text| text.parse::<i64>().ok());
                (
                    header(AGGREGATE_ID),
                    version,
                    message.id.as_str(),
                    message.topic.as_str(),
                    message.kind.as_str(),
                )
            })
            .collect();
        sqlx::query(
            "INSERT INTO emitted (aggregate_id, aggregate_version, event_id, topic, kind, emitted_at)
             SELECT value ->> 0, CAST(value ->> 1 AS BIGINT), value ->> 2, value ->> 3, value ->> 4, $2 FROM json_each($1)",
        )
        .bind(rows(&noted)?)
        .bind(now)
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
        let entries: Vec<_> = messages.iter().map(Entry::new).collect();
        // Nothing here carries a deduplication key, so nothing can be there already.
        let _added = self.outbox.enqueue_batch(connection, &entries).await?;
        Ok(())
    }

    /// Notes that messages were handled. An effect that was noted before is an error: it would happen twice.
    ///
    /// # Errors
    /// What the database refused; roll back.
    pub async fn note(&self, connection: &mut Connection, effects: &[Effect]) -> Result<()> {
        let noted: Vec<_> = effects
            .iter()
            .map(|effect| (&effect.name, &effect.event_id, effect.outcome))
            .collect();
        sqlx::query(
            "INSERT INTO effects (effect, event_id, outcome, done_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, $2 FROM json_each($1)",
        )
        .bind(rows(&noted)?)
        .bind(self.now())
        .execute(connection)
        .await
        .map_err(sql)?;
        Ok(())
    }
}
