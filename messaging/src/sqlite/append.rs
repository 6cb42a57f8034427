//! Appending: one transaction a batch, all of it or nothing.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use mainstay_database::Transactions;

use crate::{
    Error, Message, Publication, Publisher, Topic, envelope,
    partitioner::partition_of,
    sqlite::{Inner, OFFSET_BITS, driver, sort},
};

/// Appends to the log of a [`Broker`](super::Broker).
#[derive(Clone, Debug)]
pub struct LogPublisher {
    inner: Arc<Inner>,
}

/// A set of records as the append statement takes it: their bytes in one blob, where they lie in it as JSON.
#[derive(Default)]
struct Batch {
    rows: String,
    blob: Vec<u8>,
    counts: BTreeMap<i64, u32>,
}

impl LogPublisher {
    pub(super) const fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Why a message may not be appended, if so.
    async fn refusal(&self, message: &Message) -> Result<Option<Error>, Error> {
        let (size, limit) = (message.size(), self.inner.options.max_message_size);
        if size > limit {
            return Ok(Some(Error::TooLarge { size, limit }));
        }
        Ok(match self.inner.partitions(&message.topic).await? {
            Some(_) => None,
            None => Some(Error::UnknownTopic(message.topic.clone())),
        })
    }

    async fn append(&self, messages: &[&Message]) -> Result<(), Error> {
        let mut batch = Batch::default();
        for message in messages {
            let partitions = self
                .inner
                .partitions(&message.topic)
                .await?
                .ok_or_else(|| Error::UnknownTopic(message.topic.clone()))?;
            batch.add(message, &partitions);
        }
        let counts: Vec<_> = batch.counts.iter().collect();
        let counts =
            serde_json::to_string(&counts).map_err(|error| Error::Refused(error.into()))?;
        let now = envelope::micros_since_epoch(self.inner.options.clock.now());
        let mut tx = self.inner.database.begin().await.map_err(sort)?;
        sqlx::query(self.inner.statements.append.clone())
            .bind(batch.rows)
            .bind(batch.blob)
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        sqlx::query(self.inner.statements.advance.clone())
            .bind(counts)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        self.inner.database.commit(tx).await.map_err(sort)?;
        self.inner.doorbell.send_modify(|appends| *appends += 1);
        Ok(())
    }
}

#[async_trait]
impl Publisher for LogPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<Publication> {
        let mut answers: Vec<Publication> = Vec::with_capacity(messages.len());
        let mut stopped: Vec<(&Topic, Option<&str>)> = Vec::new();
        let mut accepted: Vec<&Message> = Vec::with_capacity(messages.len());
        for message in messages {
            let key = (&message.topic, message.key.as_ref().map(crate::Key::as_str));
            if message.key.is_some() && stopped.contains(&key) {
                answers.push(Publication::Unknown(Error::NotTried));
                continue;
            }
            match self.refusal(message).await {
                Ok(None) => {
                    answers.push(Publication::Acknowledged);
                    accepted.push(message);
                }
                Ok(Some(refusal)) => {
                    answers.push(Publication::Refused(refusal));
                    stopped.push(key);
                }
                Err(error) => {
                    answers.push(Publication::Unknown(error));
                    stopped.push(key);
                }
            }
        }
        if accepted.is_empty() {
            return answers;
        }
        if let Err(error) = self.append(&accepted).await {
            let mut first = Some(error);
            for answer in answers.iter_mut().filter(|answer| answer.is_acknowledged()) {
                *answer = Publication::Unknown(first.take().unwrap_or(Error::NotTried));
            }
        }
        answers
    }
}

impl Batch {
    fn add(&mut self, message: &Message, partitions: &[i64]) {
        let key = message.key.as_ref().map(crate::Key::as_str);
        let spread_by = key.unwrap_or_else(|| message.id.as_str()).as_bytes();
        let number = partition_of(
            spread_by,
            i32::try_from(partitions.len()).unwrap_or(i32::MAX),
        );
        let partition = usize::try_from(number)
            .ok()
            .and_then(|number| partitions.get(number))
            .copied()
            .unwrap_or_default();
        let rank = self.counts.entry(partition).or_default();
        let opening = if self.rows.is_empty() { '[' } else { ',' };
        if opening == ',' {
            self.rows.pop();
        }
        // Writing to a String cannot fail.
        let _ = write!(self.rows, "{opening}[{partition},{rank}");
        *rank += 1;
        self.put(key.map(str::as_bytes));
        self.put(Some(envelope::write(message).as_bytes()));
        self.put(message.payload.as_deref());
        self.rows.push_str("]]");
    }

    /// Appends to the blob and notes where: SQLite's `substr` counts from 1.
    fn put(&mut self, bytes: Option<&[u8]>) {
        let start = self.blob.len() + 1;
        let length = bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.blob.extend_from_slice(bytes.unwrap_or_default());
        let _ = write!(self.rows, ",{start},{length}");
    }
}

/// The partition's id and the offset within it, from a record's id.
pub(super) const fn split(id: i64) -> (i64, i64) {
    (id >> OFFSET_BITS, id & ((1 << OFFSET_BITS) - 1))
}
