//! Records that were read ahead, by partition, so that each partition has its turn.

use std::collections::{BTreeMap, VecDeque};

use super::line::{Command, Line, Record};
use crate::broker::{Delivery, Partition};

#[derive(Debug, Default)]
pub(super) struct Buffers {
    of: BTreeMap<Partition, Buffer>,
    /// Bytes of paused partitions. They do not count as read ahead, or nothing else would come.
    paused: usize,
}

#[derive(Debug, Default)]
struct Buffer {
    records: VecDeque<Record>,
    bytes: usize,
    /// Behind the last record that came.
    end: i64,
    paused: bool,
    /// Whether librdkafka was told. It forgets what it has read ahead, so short pauses are kept from
    /// it.
    stopped: bool,
}

impl Buffers {
    /// A partition begins, at this offset.
    pub(super) fn begin(&mut self, line: &Line, partition: Partition, at: i64) {
        self.drop(line, &partition);
        let buffer = Buffer {
            end: at,
            ..Buffer::default()
        };
        self.of.insert(partition, buffer);
    }

    /// Adds a record, unless its partition has none.
    pub(super) fn add(&mut self, line: &Line, record: Record) {
        let size = record.size;
        match self.of.get_mut(&record.delivery.position.partition) {
            Some(buffer) => {
                buffer.end = record.delivery.position.offset + 1;
                buffer.bytes += size;
                buffer.records.push_back(record);
                if buffer.paused {
                    self.paused += size;
                    line.shrink(size);
                }
            }
            // It was polled before its partition went.
            None => line.shrink(size),
        }
    }

    /// Tells librdkafka to read no more of paused partitions, once they have this many bytes.
    pub(super) fn stop(&mut self, line: &Line, limit: usize) {
        if self.paused < limit {
            return;
        }
        let mut stopped = Vec::new();
        for (partition, buffer) in &mut self.of {
            if buffer.paused && !buffer.stopped {
                buffer.stopped = true;
                stopped.push(partition.clone());
            }
        }
        if !stopped.is_empty() {
            line.command(Command::Pause(stopped));
        }
    }

    pub(super) fn pause(&mut self, line: &Line, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(buffer) = self.of.get_mut(partition)
                && !buffer.paused
            {
                buffer.paused = true;
                self.paused += buffer.bytes;
                line.shrink(buffer.bytes);
            }
        }
    }

    pub(super) fn resume(&mut self, line: &Line, partitions: &[Partition]) {
        let mut stopped = Vec::new();
        for partition in partitions {
            if let Some(buffer) = self.of.get_mut(partition)
                && buffer.paused
            {
                buffer.paused = false;
                self.paused -= buffer.bytes;
                line.grow(buffer.bytes);
                if std::mem::take(&mut buffer.stopped) {
                    stopped.push(partition.clone());
                }
            }
        }
        if !stopped.is_empty() {
            line.command(Command::Resume(stopped));
        }
    }

    /// Forgets a partition.
    pub(super) fn drop(&mut self, line: &Line, partition: &Partition) {
        let Some(buffer) = self.of.remove(partition) else {
            return;
        };
        if buffer.paused {
            self.paused -= buffer.bytes;
        } else {
            line.shrink(buffer.bytes);
        }
        if buffer.stopped {
            // The next assignment is not paused.
            line.command(Command::Resume(vec![partition.clone()]));
        }
    }

    /// Takes the next records of a partition: at most `count`, until there are `room` bytes of them.
    /// Returns how many bytes they have.
    pub(super) fn take(
        &mut self,
        line: &Line,
        partition: &Partition,
        count: usize,
        room: usize,
        mut each: impl FnMut(Delivery),
    ) -> usize {
        let Some(buffer) = self.of.get_mut(partition) else {
            return 0;
        };
        let (mut taken, mut bytes) = (0, 0);
        while taken < count
            && bytes < room
            && let Some(record) = buffer.records.pop_front()
        {
            taken += 1;
            bytes += record.size;
            each(record.delivery);
        }
        buffer.bytes -= bytes;
        if taken > 0 {
            line.shrink(bytes);
        }
        bytes
    }

    /// Where each partition ends, as far as it came.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.of
            .iter()
            .map(|(partition, buffer)| (partition, buffer.end))
    }
}
