//! Appending: one transaction per batch, all of it or nothing.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt::Write as _,
    sync::Arc,
};

use async_trait::async_trait;

use crate::{
    Error, Message, Topic,
    broker::{
        PrefixRule, PublishOutcome, Publisher,
        partitioner::{partition_of, spread_by},
    },
    envelope,
    sqlite::{Inner, OFFSET_BITS, driver, sort},
};

/// Appends to the log of a [`Broker`](super::Broker).
#[derive(Clone, Debug)]
pub struct LogPublisher {
    inner: Arc<Inner>,
}

/// Partition ids by topic; none = there is no such topic.
type Topics<'m> = HashMap<&'m Topic, Option<Arc<[i64]>>>;

/// A set of records as the append statement takes it: one blob, in which each record lies behind a
/// head of decimal numbers of fixed width. SQLite cuts those out several times faster than it reads
/// JSON.
#[derive(Default)]
struct Batch {
    blob: Vec<u8>,
    records: Vec<Record>,
    counts: BTreeMap<i64, i64>,
}

struct Record {
    partition: i64,
    /// How many of the batch lie before it in its partition.
    rank: i64,
    /// Where its head begins in the blob.
    head: usize,
}

/// Widths of the numbers of a head, in the order of the append statement.
const ID: usize = 19;
const NUMBER: usize = 10;
const HEAD: usize = ID + 5 * NUMBER;

/// A batch of this many bytes takes no further message: SQLite binds at most 1,000,000,000.
const FULL: usize = 128 * 1024 * 1024;

/// How many records a partition has at most, in the bits of an id.
const MAX_RECORDS: i64 = 1 << OFFSET_BITS;

impl LogPublisher {
    pub(super) const fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Partition ids of every topic in `messages`, asked for once per topic and batch.
    async fn topics<'m>(&self, messages: &'m [Message]) -> Result<Topics<'m>, Error> {
        let mut topics = Topics::new();
        for message in messages {
            if let Entry::Vacant(unknown) = topics.entry(&message.topic) {
                unknown.insert(self.inner.partitions(&message.topic).await?);
            }
        }
        Ok(topics)
    }

    /// Puts what may be appended into one batch. Returns the outcome of each message if the batch
    /// is stored.
    fn sort_out(&self, messages: &[Message], topics: &Topics<'_>) -> (Batch, Vec<PublishOutcome>) {
        let limit = self.inner.settings.max_message_size;
        let mut batch = Batch::default();
        let mut rule = PrefixRule::new();
        let mut sort_one = |message: &Message| {
            if batch.blob.len() >= FULL {
                return PublishOutcome::Unknown(Error::NotTried);
            }
            let size = message.size();
            let refusal = match topics.get(&message.topic).and_then(Option::as_ref) {
                _ if size > limit => Error::TooLarge { size, limit },
                None => Error::UnknownTopic(message.topic.clone()),
                Some(partitions) => {
                    batch.add(message, partitions);
                    return PublishOutcome::Acknowledged;
                }
            };
            PublishOutcome::Refused(refusal)
        };
        let outcomes = messages
            .iter()
            .map(|message| rule.apply(message, || sort_one(message)))
            .collect();
        (batch, outcomes)
    }

    async fn append(&self, mut batch: Batch) -> Result<(), Error> {
        let counts: Vec<_> = batch.counts.iter().collect();
        let counts =
            serde_json::to_string(&counts).map_err(|error| Error::Refused(error.into()))?;
        let now = envelope::micros_since_epoch(self.inner.settings.clock.now());
        let mut tx = self.inner.database.begin().await.map_err(sort)?;
        let ends: Vec<(i64, i64)> = sqlx::query_as(self.inner.statements.advance.clone())
            .bind(counts)
            .fetch_all(&mut *tx)
            .await
            .map_err(driver)?;
        if let Some((_, end)) = ends.iter().find(|(_, end)| *end > MAX_RECORDS) {
            return Err(Error::OutOfLimits {
                what: "the number of records of a partition",
                given: end.unsigned_abs(),
                limit: "1099511627776 or less",
            });
        }
        let heads = batch.place(&ends);
        sqlx::query(self.inner.statements.append.clone())
            .bind(heads)
            .bind(batch.blob)
            .bind(now)
            .execute(&mut *tx)
            .await
            .map_err(driver)?;
        self.inner.database.commit(tx).await.map_err(sort)?;
        self.inner.note(ends);
        Ok(())
    }
}

#[async_trait]
impl Publisher for LogPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<PublishOutcome> {
        let topics = match self.topics(messages).await {
            Ok(topics) => topics,
            Err(error) => return unknown(messages.len(), error),
        };
        let (batch, mut outcomes) = self.sort_out(messages, &topics);
        if !batch.counts.is_empty()
            && let Err(error) = self.append(batch).await
        {
            let mut unknown = unknown(outcomes.len(), error).into_iter();
            for outcome in outcomes
                .iter_mut()
                .filter(|outcome| outcome.is_acknowledged())
            {
                *outcome = unknown
                    .next()
                    .unwrap_or(PublishOutcome::Unknown(Error::NotTried));
            }
        }
        outcomes
    }
}

/// The error for the first message; because of it, the others were not tried.
fn unknown(count: usize, error: Error) -> Vec<PublishOutcome> {
    let others = std::iter::repeat_with(|| Error::NotTried);
    std::iter::once(error)
        .chain(others)
        .take(count)
        .map(PublishOutcome::Unknown)
        .collect()
}

impl Batch {
    fn add(&mut self, message: &Message, partitions: &[i64]) {
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let partition = usize::try_from(partition_of(spread_by(message), count))
            .ok()
            .and_then(|number| partitions.get(number))
            .copied()
            .unwrap_or_default();
        let rank = self.counts.entry(partition).or_default();
        let head = self.blob.len();
        self.records.push(Record {
            partition,
            rank: *rank,
            head,
        });
        *rank += 1;
        self.blob.resize(head + HEAD, b'0');
        let key = message.key.as_ref().map(|key| key.as_str().as_bytes());
        let envelope = envelope::write(message);
        put(&mut self.blob, head + ID, envelope.len());
        self.blob.extend_from_slice(envelope.as_bytes());
        let mut field = head + ID + NUMBER;
        for part in [key, message.payload.as_deref()] {
            // SQLite's `substr` counts from 1. A length is written with one added: 0 is NULL.
            let start = self.blob.len() + 1;
            put(&mut self.blob, field, start);
            let length = part.map_or(0, |part| part.len() + 1);
            put(&mut self.blob, field + NUMBER, length);
            self.blob.extend_from_slice(part.unwrap_or_default());
            field += 2 * NUMBER;
        }
    }

    /// Writes the ids into the heads, given where each partition ends *behind* this batch; answers
    /// with the heads' places in the order of the ids, so that appends go to the end of one
    /// partition after the other.
    fn place(&mut self, ends: &[(i64, i64)]) -> String {
        let firsts: BTreeMap<i64, i64> = ends
            .iter()
            .map(|(partition, end)| (*partition, end - self.counts.get(partition).unwrap_or(&0)))
            .collect();
        self.records
            .sort_unstable_by_key(|record| (record.partition, record.rank));
        let mut heads = String::with_capacity(self.records.len() * 8 + 2);
        heads.push('[');
        for record in &self.records {
            let offset = firsts.get(&record.partition).unwrap_or(&0) + record.rank;
            let id = (record.partition << OFFSET_BITS) | offset;
            let text = format!("{id:0ID$}");
            self.blob[record.head..record.head + ID].copy_from_slice(text.as_bytes());
            if heads.len() > 1 {
                heads.push(',');
            }
            // Writing to a String cannot fail.
            let _ = write!(heads, "{}", record.head + 1);
        }
        heads.push(']');
        heads
    }
}

/// Writes a number over the zeros of its field, from the right.
fn put(blob: &mut [u8], field: usize, mut number: usize) {
    for digit in blob[field..field + NUMBER].iter_mut().rev() {
        *digit = b"0123456789"[number % 10];
        number /= 10;
    }
}

/// The partition's id and the offset within it, from a record's id.
pub(super) const fn split(id: i64) -> (i64, i64) {
    (id >> OFFSET_BITS, id & ((1 << OFFSET_BITS) - 1))
}
