//! The dead letter queues.
//!
//! A message in a queue is not lost (I6), and it is not handled yet (I5). Its order waits for an
//! operator, so it is neither stuck nor late (I1), and the deployment is not at rest.

use std::collections::HashSet;

use commerce_chassis::{Result, Snapshot};
use serde::Deserialize;

use super::observation::Observation;

/// A message that a service could not handle, or that is held behind one.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) order_id: Option<String>,
    /// dead, held, replayed or discarded.
    state: String,
    pub(crate) topic: String,
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    /// The id of the message, as an operator may have made it of an unreadable record; none = it
    /// is still unreadable.
    pub(crate) event_id: Option<String>,
}

/// How many messages wait in the queues.
#[derive(Clone, Copy, PartialEq, Eq, Default, serde::Serialize, Debug)]
pub(crate) struct Waiting {
    pub(crate) dead: usize,
    pub(crate) held: usize,
}

/// The part of a kept body that the invariants need.
#[derive(Deserialize)]
struct Body {
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    envelope: String,
}

#[derive(Deserialize)]
struct Envelope {
    id: String,
}

impl Letter {
    pub(super) async fn read_all(snapshot: &mut Snapshot) -> Result<Vec<Self>> {
        type Row = (Option<String>, String, String, i64, i64, String);
        let rows: Vec<Row> = snapshot
            .all(
                r#"SELECT m.key, m.state, m.topic, CAST(m.partition AS BIGINT), m."offset", b.record
                   FROM dlq_messages AS m JOIN dlq_bodies AS b ON b.message = m.id AND b.revision = m.revision"#,
            )
            .await?;
        let letter = |(order_id, state, topic, partition, offset, body): Row| Self {
            order_id,
            state,
            topic,
            partition,
            offset,
            event_id: id_of(&body),
        };
        Ok(rows.into_iter().map(letter).collect())
    }

    /// Whether its effect is still to be made.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(&*self.state, "dead" | "held")
    }

    pub(crate) fn is_replayed(&self) -> bool {
        self.state == "replayed"
    }
}

fn id_of(body: &str) -> Option<String> {
    let message = serde_json::from_str::<Body>(body).ok()?.message?;
    let envelope: Envelope = serde_json::from_str(&message.envelope).ok()?;
    Some(envelope.id)
}

/// The orders of which a message waits in a queue.
pub(super) fn orders(observation: &Observation) -> HashSet<&str> {
    kept(observation)
        .filter_map(|letter| letter.order_id.as_deref())
        .collect()
}

pub(super) fn waiting(observation: &Observation) -> Waiting {
    let mut waiting = Waiting::default();
    for letter in kept(observation) {
        if letter.state == "dead" {
            waiting.dead += 1;
        } else {
            waiting.held += 1;
        }
    }
    waiting
}

fn kept(observation: &Observation) -> impl Iterator<Item = &Letter> {
    let letters = observation
        .mailboxes
        .values()
        .flat_map(|mailbox| &mailbox.letters);
    letters.filter(|letter| letter.is_kept())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_kept_message_is_in_its_envelope() {
        let message = r#"{"message":{"topic":"order","key":"o","envelope":"{\"id\":\"7\"}"}}"#;
        assert_eq!(id_of(message).as_deref(), Some("7"));
        let raw = r#"{"raw":{"key":null,"headers":[],"reason":"damaged"}}"#;
        assert_eq!(id_of(raw), None);
    }
}
