//! Rows as values.

use std::{collections::HashMap, time::SystemTime};

use bytes::Bytes;
use mainstay_inbox::store::Identity;
use mainstay_messaging::{Delivery, Group, Partition, Position, Topic, envelope::time_of};
use serde::Serialize;
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::{
    Error,
    desk::{BulkAct, Job, JobState},
    letter::{BlockedKey, DeadLetter, DeadLetterId},
    record,
};

type Damage = Box<dyn std::error::Error + Send + Sync>;

fn damaged(id: i64) -> impl Fn(Damage) -> Error {
    move |source| Error::Damaged { id, source }
}

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

/// The deliveries as a statement takes them: topic, key, source and id.
pub(crate) fn names(consumer: &Group, deliveries: &[&Delivery]) -> Result<String, Error> {
    let row = |delivery: &&Delivery| {
        let Identity { source, id, .. } = Identity::of(delivery);
        let key = BlockedKey::of(consumer, delivery).map(|key| key.key);
        let topic = delivery.position.partition.topic.to_string();
        (topic, key, source.to_owned(), id.into_owned())
    };
    json(&deliveries.iter().map(row).collect::<Vec<_>>())
}

/// Held messages as a statement takes them, in their order.
pub(crate) fn held_rows(consumer: &Group, held: &[&Delivery]) -> Result<String, Error> {
    let row = |delivery: &&Delivery| {
        let Identity { source, id, .. } = Identity::of(delivery);
        let position = &delivery.position;
        let key = BlockedKey::of(consumer, delivery).map(|key| key.key);
        let kind = delivery.content.message();
        (
            position.partition.topic.to_string(),
            position.partition.number,
            position.offset,
            source.to_owned(),
            id.into_owned(),
            key,
            kind.map(|message| message.kind.to_string()),
        )
    };
    json(&held.iter().map(row).collect::<Vec<_>>())
}

/// The bodies of held messages, by the numbers that their rows got.
pub(crate) fn held_bodies(
    numbers: Vec<(i64, String, i32, i64)>,
    held: &[&Delivery],
) -> Result<String, Error> {
    let numbers: HashMap<_, i64> = numbers
        .into_iter()
        .map(|(id, topic, partition, offset)| ((topic, partition, offset), id))
        .collect();
    let row = |delivery: &&Delivery| {
        let Position { partition, offset } = &delivery.position;
        let place = (partition.topic.to_string(), partition.number, *offset);
        let payload = record::payload(&delivery.content).map(hex::encode);
        // Each position of a batch is there once.
        Some((
            *numbers.get(&place)?,
            record::write(&delivery.content),
            payload,
        ))
    };
    json(&held.iter().filter_map(row).collect::<Vec<_>>())
}

fn json(rows: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(rows)
        .map_err(|error| mainstay_database::Error::Failed(error.into()).into())
}

pub(crate) fn time(micros: Option<i64>) -> Option<SystemTime> {
    micros.map(time_of)
}

/// A kept message as its broker delivered it.
pub(crate) fn delivered(
    id: i64,
    (topic, number, offset): (String, i32, i64),
    text: &str,
    payload: Option<Vec<u8>>,
) -> Result<Delivery, Error> {
    let damaged = damaged(id);
    let topic = Topic::new(topic).map_err(|error| damaged(error.into()))?;
    let payload = payload.map(Bytes::from);
    Ok(Delivery {
        position: Position {
            partition: Partition { topic, number },
            offset,
        },
        content: record::read(text, payload).map_err(damaged)?,
    })
}

/// Reads a message's row.
pub(crate) fn letter_of<'r, R: Row>(row: &'r R) -> Result<DeadLetter, Error>
where
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let id: i64 = row
        .try_get("id")
        .map_err(|error| damaged(0)(error.into()))?;
    let read = || -> Result<DeadLetter, Damage> {
        let text = |name| row.try_get::<Option<String>, &'static str>(name);
        let count = |name| row.try_get::<i32, &'static str>(name).map(number);
        let at = |name| row.try_get::<Option<i64>, &'static str>(name).map(time);
        Ok(DeadLetter {
            id: DeadLetterId(id),
            consumer: Group::new(row.try_get::<String, _>("consumer")?)?,
            position: Position {
                partition: Partition {
                    topic: Topic::new(row.try_get::<String, _>("topic")?)?,
                    number: row.try_get("partition")?,
                },
                offset: row.try_get("offset")?,
            },
            source: row.try_get("source")?,
            message_id: row.try_get("message_id")?,
            key: text("key")?,
            kind: text("kind")?,
            state: row.try_get::<String, _>("state")?.parse()?,
            failure: text("failure")?,
            attempts: count("attempts")?,
            retries: count("retries")?,
            error: text("error")?,
            fingerprint: text("fingerprint")?,
            kept_at: time_of(row.try_get("kept_at")?),
            failed_at: at("failed_at")?,
            due_at: at("due_at")?,
            resolved_at: at("resolved_at")?,
            revision: count("revision")?,
            job: row.try_get("job")?,
        })
    };
    read().map_err(damaged(id))
}

/// Reads a job's row.
pub(crate) fn job_of<'r, R: Row>(row: &'r R) -> Result<Job, Error>
where
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    f64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let id: i64 = row
        .try_get("id")
        .map_err(|error| damaged(0)(error.into()))?;
    let read = || -> Result<Job, Damage> {
        let count = |name| {
            let value = row.try_get::<i64, &'static str>(name);
            value.map(|value| u64::try_from(value).unwrap_or(0))
        };
        let act: String = row.try_get("act")?;
        let state: String = row.try_get("state")?;
        let (replayed, waiting, asked) = (count("replayed")?, count("waiting")?, count("asked")?);
        Ok(Job {
            id,
            act: match &*act {
                "replay" => BulkAct::Replay,
                "discard" => BulkAct::Discard,
                _ => return Err(format!("{act:?} is no act of a job").into()),
            },
            query: serde_json::from_str(&row.try_get::<String, _>("query")?)?,
            rate: row.try_get("rate")?,
            operator: row.try_get("operator")?,
            reason: row.try_get("reason")?,
            state: match &*state {
                "running" => JobState::Running,
                "finished" => JobState::Finished,
                "cancelled" => JobState::Cancelled,
                _ => return Err(format!("{state:?} is no state of a job").into()),
            },
            started_at: time_of(row.try_get("started_at")?),
            finished_at: time(row.try_get("finished_at")?),
            cursor: DeadLetterId(row.try_get("cursor")?),
            last: DeadLetterId(row.try_get("last")?),
            done: count("done")?,
            replayed,
            failed: asked.saturating_sub(replayed).saturating_sub(waiting),
            waiting,
        })
    };
    read().map_err(damaged(id))
}
