//! Which offset of a partition may be committed.

use std::collections::VecDeque;

/// A partition's records from the lowest unfinished one on.
///
/// Offsets rise and may have gaps (compaction, transaction markers). A record that is finished stays until all below it
/// are: what may be committed is everything below the first unfinished record.
#[derive(Debug)]
pub(super) struct Span {
    /// The first entry, if there is one, is unfinished.
    entries: VecDeque<Entry>,
    bytes: usize,
    next: i64,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    size: usize,
    finished: bool,
}

impl Span {
    /// Nothing received yet; the first record to come is at `start` or above.
    pub(super) const fn starting_at(start: i64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            next: start,
        }
    }

    /// Takes in a record; false = it is at or below one that was taken in before, and was not taken in again.
    pub(super) fn receive(&mut self, offset: i64, size: usize) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset + 1;
        self.bytes += size;
        self.entries.push_back(Entry {
            offset,
            size,
            finished: false,
        });
        true
    }

    /// Notes that the record at `offset` is finished.
    pub(super) fn finish(&mut self, offset: i64) {
        if let Ok(index) = self.entries.binary_search_by_key(&offset, |e| e.offset)
            && let Some(entry) = self.entries.get_mut(index)
        {
            entry.finished = true;
        }
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.finished) {
            self.bytes -= entry.size;
        }
    }

    /// Everything below is finished.
    pub(super) fn finished_below(&self) -> i64 {
        self.entries.front().map_or(self.next, |entry| entry.offset)
    }

    /// Everything below was received, or does not exist.
    pub(super) const fn received_below(&self) -> i64 {
        self.next
    }

    /// Records in the span, finished or not.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Their bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_committable_is_never_beyond_the_lowest_unfinished_record(
            start in 0..100i64,
            gaps in proptest::collection::vec((0..4i64, 0..50usize), 0..60),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..80),
        ) {
            let mut span = Span::starting_at(start);
            let mut unfinished = BTreeMap::new();
            let mut next = start;
            for (gap, size) in gaps {
                prop_assert!(span.receive(next + gap, size));
                prop_assert!(!span.receive(next + gap, size), "received twice");
                unfinished.insert(next + gap, size);
                next += gap + 1;
            }
            let offsets: Vec<i64> = unfinished.keys().copied().collect();
            for index in order {
                prop_assert_eq!(span.finished_below(), unfinished.keys().next().copied().unwrap_or(next));
                if let Some(offset) = offsets.get(index.index(offsets.len().max(1))) {
                    span.finish(*offset);
                    unfinished.remove(offset);
                }
            }
            prop_assert_eq!(span.finished_below(), unfinished.keys().next().copied().unwrap_or(next));
            prop_assert_eq!(span.received_below(), next);
            prop_assert!(span.len() >= unfinished.len());
            prop_assert!(span.bytes() >= unfinished.values().sum());
            for offset in offsets {
                span.finish(offset);
            }
            prop_assert_eq!((span.len(), span.bytes(), span.finished_below()), (0, 0, next));
        }
    }
}
