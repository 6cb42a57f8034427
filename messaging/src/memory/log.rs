//! The records: per topic a list of partitions, per partition a list of records with ascending
//! offsets.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU16,
};

use crate::{
    Error, Message, Topic,
    broker::{
        Content, Partition, Raw,
        partitioner::{self, partition_of},
    },
};

#[derive(Default, Debug)]
pub(super) struct Log {
    topics: BTreeMap<Topic, Vec<Records>>,
}

/// The records of one partition.
#[derive(Default, Debug)]
struct Records {
    /// The oldest offset still kept.
    first: i64,
    kept: VecDeque<Content>,
}

impl Log {
    pub(super) fn create(&mut self, topic: &Topic, partitions: NonZeroU16) {
        self.topics
            .entry(topic.clone())
            .or_insert_with(|| (0..partitions.get()).map(|_| Records::default()).collect());
    }

    pub(super) fn knows(&self, topic: &Topic) -> bool {
        self.topics.contains_key(topic)
    }

    /// Appends to the partition that the message's key says.
    pub(super) fn append(&mut self, message: &Message) -> Result<(), Error> {
        let unknown = || Error::UnknownTopic(message.topic.clone());
        let partitions = self.topics.get_mut(&message.topic).ok_or_else(unknown)?;
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let number = partition_of(partitioner::spread_by(message), count);
        let records = usize::try_from(number)
            .ok()
            .and_then(|number| partitions.get_mut(number))
            .ok_or_else(unknown)?;
        records.kept.push_back(Content::Message(message.clone()));
        Ok(())
    }

    pub(super) fn append_raw(&mut self, partition: &Partition, record: Raw) -> Result<(), Error> {
        let records = self
            .records_mut(partition)
            .ok_or_else(|| Error::UnknownTopic(partition.topic.clone()))?;
        records.kept.push_back(Content::Raw(record));
        Ok(())
    }

    /// Removes what lies below `offset`.
    pub(super) fn truncate(&mut self, partition: &Partition, offset: i64) {
        if let Some(records) = self.records_mut(partition) {
            while records.first < offset && records.kept.pop_front().is_some() {
                records.first += 1;
            }
        }
    }

    /// All partitions of a topic; none if it does not exist.
    pub(super) fn partitions(&self, topic: &Topic) -> impl Iterator<Item = Partition> {
        let count = self.topics.get(topic).map_or(0, Vec::len);
        (0..i32::try_from(count).unwrap_or(i32::MAX)).map(|number| Partition {
            topic: topic.clone(),
            number,
        })
    }

    /// All partitions of all topics.
    pub(super) fn all(&self) -> impl Iterator<Item = Partition> {
        self.topics.keys().flat_map(|topic| self.partitions(topic))
    }

    /// The oldest offset still kept, and the one that the next record gets.
    pub(super) fn ends(&self, partition: &Partition) -> (i64, i64) {
        self.records(partition).map_or((0, 0), |records| {
            (records.first, records.first + len(&records.kept))
        })
    }

    /// At most `count` records from `offset` on.
    pub(super) fn read(
        &self,
        partition: &Partition,
        offset: i64,
        count: u16,
    ) -> impl Iterator<Item = (i64, Content)> {
        let records = self.records(partition);
        let skipped = records
            .and_then(|records| usize::try_from(offset - records.first).ok())
            // Below the first record there is nothing to read, and the next tick will say so.
            .unwrap_or(usize::MAX);
        records
            .into_iter()
            .flat_map(move |records| records.kept.iter().skip(skipped))
            .take(count.into())
            .zip(offset..)
            .map(|(content, offset)| (offset, content.clone()))
    }

    fn records(&self, partition: &Partition) -> Option<&Records> {
        let number = usize::try_from(partition.number).ok()?;
        self.topics.get(&partition.topic)?.get(number)
    }

    fn records_mut(&mut self, partition: &Partition) -> Option<&mut Records> {
        let number = usize::try_from(partition.number).ok()?;
        self.topics.get_mut(&partition.topic)?.get_mut(number)
    }
}

fn len(records: &VecDeque<Content>) -> i64 {
    i64::try_from(records.len()).unwrap_or(i64::MAX)
}
