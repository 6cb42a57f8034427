//! The messages that a service emits and the effects that it has. `commerce verify` compares these
//! records with the log and the inbox.

use std::sync::Arc;

use commerce_contracts::Contract;
use mainstay_clock::{Clock, IdGenerator};
use mainstay_database::Migrations;
use mainstay_messaging::{Message, envelope::micros_since_epoch};
use mainstay_outbox::{Entry, Outbox as _};

use crate::{
    Connection, Db, Result,
    db::{Outbox, rows, sql},
};

/// The journal's tables.
pub const JOURNAL_MIGRATIONS: Migrations = crate::migrations!("journal", "0001_journal");

/// The header that names the aggregate.
const AGGREGATE_ID: &str = "aggregateid";
/// The header that counts the aggregate's messages.
const AGGREGATE_VERSION: &str = "aggregateversion";

/// Why a service emits a message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cause<'a> {
    /// Id of the message that was handled; none = a request from outside.
    pub message_id: Option<&'a str>,
    /// Correlation id of the request that started it all; none = the order's id.
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

/// The record that a message was handled.
#[derive(Debug)]
struct Effect {
    name: String,
    event_id: String,
    outcome: &'static str,
}

/// A service's journal, on its outbox. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Journal {
    outbox: Outbox,
    clock: Arc<dyn Clock>,
}

impl Journal {
    pub(crate) const fn new(outbox: Outbox, clock: Arc<dyn Clock>) -> Self {
        Self { outbox, clock }
    }

    /// Opens the journal of `service` in its database, as the service has left it.
    ///
    /// # Errors
    /// [`Error::Outbox`](crate::Error::Outbox): the service has not migrated the database yet.
    pub async fn open(
        db: &Db,
        service: &str,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
    ) -> Result<Self> {
        let outbox = db.outbox(service, Arc::clone(&clock), ids).await?;
        Ok(Self::new(outbox, clock))
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }

    /// Starts the entries of one transaction.
    pub const fn entries(&self) -> Entries<'_> {
        Entries {
            journal: self,
            messages: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Enqueues `messages` in their order, and records that they were emitted.
    async fn write_messages(
        &self,
        connection: &mut Connection,
        messages: &[Message],
    ) -> Result<()> {
        let emitted: Vec<_> = messages
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
        .bind(rows(&emitted)?)
        .bind(self.now())
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
        let entries: Vec<_> = messages.iter().map(Entry::new).collect();
        // No entry has a deduplication key, so all of them are added.
        let _added = self.outbox.enqueue_batch(connection, &entries).await?;
        Ok(())
    }

    /// Records that messages were handled. An effect that was recorded before is an error.
    async fn write_effects(&self, connection: &mut Connection, effects: &[Effect]) -> Result<()> {
        let effects: Vec<_> = effects
            .iter()
            .map(|effect| (&effect.name, &effect.event_id, effect.outcome))
            .collect();
        sqlx::query(
            "INSERT INTO effects (effect, event_id, outcome, done_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, $2 FROM json_each($1)",
        )
        .bind(rows(&effects)?)
        .bind(self.now())
        .execute(connection)
        .await
        .map_err(sql)?;
        Ok(())
    }
}

/// The messages that one transaction emits, and the effects that it records.
#[derive(Debug)]
#[must_use = "entries are written by `write` only"]
pub struct Entries<'a> {
    journal: &'a Journal,
    messages: Vec<Message>,
    effects: Vec<Effect>,
}

impl Entries<'_> {
    /// Adds a message of `aggregate`. `emitted` counts the aggregate's messages, 1, 2, 3 … without
    /// gaps.
    ///
    /// # Errors
    /// [`Error::Outbox`](crate::Error::Outbox): the contract does not serialise, or its order id is
    /// not a valid key.
    pub fn emit<'c, C: Contract>(
        &mut self,
        aggregate: impl Into<String>,
        emitted: &mut i64,
        contract: &C,
        cause: impl Into<Cause<'c>>,
    ) -> Result<()> {
        let (cause, order) = (cause.into(), contract.order_id().as_str());
        let mut message = self.journal.outbox.message(contract)?;
        *emitted += 1;
        message.subject = Some(order.to_owned());
        message.headers.append(AGGREGATE_ID, aggregate.into());
        message
            .headers
            .append(AGGREGATE_VERSION, emitted.to_string());
        message.correlation_id = Some(cause.correlation_id.unwrap_or(order).to_owned());
        message.causation_id = cause.message_id.map(str::to_owned);
        self.messages.push(message);
        Ok(())
    }

    /// Adds the effect of `message`. Its name is the message's kind with a natural key, for most
    /// messages the order's id.
    pub fn record(&mut self, message: &Message, key: impl AsRef<str>, outcome: &'static str) {
        self.effects.push(Effect {
            name: format!("{}:{}", message.kind, key.as_ref()),
            event_id: message.id.as_str().to_owned(),
            outcome,
        });
    }

    /// Enqueues the messages in their order, and records them and the effects.
    ///
    /// # Errors
    /// The error of the database or the outbox, for example because an effect was recorded before;
    /// roll back.
    pub async fn write(self, connection: &mut Connection) -> Result<()> {
        if !self.messages.is_empty() {
            self.journal
                .write_messages(connection, &self.messages)
                .await?;
        }
        if !self.effects.is_empty() {
            self.journal
                .write_effects(connection, &self.effects)
                .await?;
        }
        Ok(())
    }
}
