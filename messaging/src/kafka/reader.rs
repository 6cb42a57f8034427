//! Reading whole topics without a group.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    Message as _, Offset,
    config::FromClientConfigAndContext as _,
    consumer::Consumer as _,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
};

use super::{
    builder::Settings,
    client::{Asker, Patience, Quiet, insist},
    config, error,
    member::list,
    names::Names,
    record,
    starts::{absolute, offsets},
    topics,
};
use crate::{
    Error, Group, Topic,
    broker::{Delivery, Partition, Position},
};

/// Reads topics from their beginning to their end as it was when the reading began; from
/// [`Broker::read`](super::Broker::read).
#[derive(Debug)]
pub struct TopicReader {
    /// None while a call of `next` that was dropped still reads.
    reading: Option<Reading>,
    partitions: Vec<(Partition, i64, i64)>,
    newest: Option<i64>,
}

/// Topics are read one after the other.
struct Reading {
    settings: Arc<Settings>,
    client: Asker,
    topics: VecDeque<Topic>,
    partitions: Vec<(Partition, i64, i64)>,
    /// What is still to come of the present topic, by partition: the end.
    open: BTreeMap<Partition, i64>,
    /// What was read and not handed out yet: the call that read it may have failed.
    deliveries: Vec<Delivery>,
    newest: Option<i64>,
}

const DOING: &str = "reading topics";

/// Records that come at once, at most.
const PORTION: usize = 1_000;

impl TopicReader {
    pub(super) async fn open(settings: &Arc<Settings>, topics: Vec<Topic>) -> Result<Self, Error> {
        let settings = Arc::clone(settings);
        let opening = move || Reading::open(settings, topics);
        let reading = tokio::task::spawn_blocking(opening);
        let reading = reading.await.map_err(error::ended)??;
        Ok(Self {
            partitions: reading.partitions.clone(),
            reading: Some(reading),
            newest: None,
        })
    }

    /// Each partition, the oldest offset that it kept, and the offset of its next record, when the
    /// reading began.
    #[must_use]
    pub fn partitions(&self) -> &[(Partition, i64, i64)] {
        &self.partitions
    }

    /// The highest timestamp of the records so far, in microseconds since 1970.
    #[must_use]
    pub const fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// The next records, those of one partition in offset order; none at the end.
    ///
    /// # Errors
    /// After [`Error::Unavailable`], call again. Any other error is final.
    ///
    /// # Cancel safety
    /// Not cancel safe: a reader whose call was dropped refuses further ones.
    pub async fn next(&mut self) -> Result<Option<Vec<Delivery>>, Error> {
        let Some(mut reading) = self.reading.take() else {
            let text = "a call of this reader was dropped: open a new one";
            return Err(Error::Refused(Box::new(error::Hint(text.to_owned()))));
        };
        let reading = tokio::task::spawn_blocking(move || {
            let read = reading.next();
            (reading, read)
        });
        let (reading, read) = reading.await.map_err(error::ended)?;
        let newest = reading.newest;
        self.reading = Some(reading);
        let deliveries = read?;
        self.newest = newest;
        Ok((!deliveries.is_empty()).then_some(deliveries))
    }
}

impl Reading {
    fn open(settings: Arc<Settings>, topics: Vec<Topic>) -> Result<Self, Error> {
        let group = Group::from_static("mainstay-reader");
        let mut config = config::observer(&settings, &group);
        config.set("enable.partition.eof", "true");
        let client = Asker::from_config_and_context(&config, Quiet::default());
        let client = client.map_err(|cause| error::sort(DOING, cause))?;
        let patience = Patience::of(&settings);
        let mut all = Vec::new();
        for topic in &topics {
            let name = topics::full(&settings, topic);
            let count = topics::partitions(client.client(), &name, patience.left());
            let count = count.map_err(|cause| client.context().explain(DOING, cause))?;
            let count = count.ok_or_else(|| Error::UnknownTopic(topic.clone()))?;
            all.extend((0..count).map(|number| Partition {
                topic: topic.clone(),
                number,
            }));
        }
        let ends = |end| {
            insist(&patience, || {
                let mut asked = list(&settings, &all);
                asked.set_all_offsets(end)?;
                let found = client.offsets_for_times(asked, patience.left())?;
                absolute(&settings, &found)
            })
        };
        let both = ends(Offset::Beginning).and_then(|first| Ok((first, ends(Offset::End)?)));
        let (first, next) = both.map_err(|cause| client.context().explain(DOING, cause))?;
        let partitions = all.into_iter().filter_map(|partition| {
            let (first, next) = (*first.get(&partition)?, *next.get(&partition)?);
            Some((partition, first, next))
        });
        Ok(Self {
            partitions: partitions.collect(),
            settings,
            client,
            topics: topics.into(),
            open: BTreeMap::new(),
            deliveries: Vec::new(),
            newest: None,
        })
    }

    /// Blocks the thread.
    fn next(&mut self) -> Result<Vec<Delivery>, Error> {
        let settings = Arc::clone(&self.settings);
        let patience = Patience::of(&settings);
        while self.deliveries.len() < PORTION {
            if self.open.is_empty() && !self.next_topic()? {
                break;
            }
            // What has come is handed out before it is waited for more.
            let wait = if self.deliveries.is_empty() {
                patience.left().min(Duration::from_millis(250))
            } else {
                Duration::ZERO
            };
            match self.client.poll(wait) {
                Some(Ok(record)) => {
                    let (delivery, time) = delivery(&settings, &record);
                    let there = |delivery: &Delivery| belongs(&mut self.open, delivery);
                    if let Some(delivery) = delivery.filter(there) {
                        self.newest = self.newest.max(time);
                        self.deliveries.push(delivery);
                    }
                }
                // Only one topic is read at a time.
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    self.open.retain(|partition, _| partition.number != number);
                }
                Some(Err(cause)) => return Err(self.client.context().explain(DOING, cause)),
                None if !self.deliveries.is_empty() => break,
                None if patience.is_over() => {
                    let cause = KafkaError::MessageConsumption(Code::OperationTimedOut);
                    return Err(self.client.context().explain(DOING, cause));
                }
                None => {}
            }
        }
        Ok(std::mem::take(&mut self.deliveries))
    }

    /// Turns to the next topic that has records.
    fn next_topic(&mut self) -> Result<bool, Error> {
        while let Some(topic) = self.topics.pop_front() {
            let of_topic = self
                .partitions
                .iter()
                .filter(|(partition, first, next)| partition.topic == topic && first < next);
            let mut starts = Vec::new();
            for (partition, first, next) in of_topic {
                self.open.insert(partition.clone(), *next);
                starts.push(Position {
                    partition: partition.clone(),
                    offset: *first,
                });
            }
            if !starts.is_empty() {
                let assigned: KafkaResult<()> =
                    offsets(&self.settings, &starts).and_then(|list| self.client.assign(&list));
                assigned.map_err(|cause| error::sort(DOING, cause))?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether the record is one of those that were there at the beginning. The last one ends its
/// partition.
fn belongs(open: &mut BTreeMap<Partition, i64>, delivery: &Delivery) -> bool {
    let Position { partition, offset } = &delivery.position;
    let Some(end) = open.get(partition).copied() else {
        return false;
    };
    if offset + 1 >= end {
        open.remove(partition);
    }
    *offset < end
}

/// A record, and its time in microseconds.
fn delivery(settings: &Settings, record: &BorrowedMessage<'_>) -> (Option<Delivery>, Option<i64>) {
    let Some(topic) = topics::plain(settings, record.topic()) else {
        return (None, None);
    };
    let (content, _) = record::read(topic.clone(), record, &mut Names::default());
    let position = Position {
        partition: Partition {
            topic,
            number: record.partition(),
        },
        offset: record.offset(),
    };
    let time = record.timestamp().to_millis().map(|millis| millis * 1_000);
    (Some(Delivery { position, content }), time)
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("topics", &self.topics)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
