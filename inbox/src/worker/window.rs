//! The in-flight window: which offset of a partition may be committed.

use std::collections::VecDeque;

/// A partition's records from the lowest unfinished one to the newest one.
///
/// Offsets rise and may have gaps (compaction, transaction markers). A finished record stays until
/// all records below it are finished: only what lies below the first unfinished record may be
/// committed.
#[derive(Debug)]
pub(super) struct Window {
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

impl Window {
    /// Nothing received yet; the first record to come is at `start` or above.
    pub(super) const fn starting_at(start: i64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            next: start,
        }
    }

    /// Adds a record. Returns false if it, or a later one, was added before.
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
        if let Some(entry) = self.entry_at(offset) {
            entry.finished = true;
        }
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.finished) {
            self.bytes -= entry.size;
        }
    }

    fn entry_at(&mut self, offset: i64) -> Option<&mut Entry> {
        let first = self.entries.front()?.offset;
        // Without gaps, the offset tells the place.
        let near = usize::try_from(offset.checked_sub(first)?).ok()?;
        let index = match self.entries.get(near) {
            Some(entry) if entry.offset == offset => near,
            _ => (self.entries)
                .binary_search_by_key(&offset, |entry| entry.offset)
                .ok()?,
        };
        self.entries.get_mut(index)
    }

    /// Every record below is finished.
    pub(super) fn finished_below(&self) -> i64 {
        self.entries.front().map_or(self.next, |entry| entry.offset)
    }

    /// Every record below was added, or does not exist.
    pub(super) const fn received_below(&self) -> i64 {
        self.next
    }

    /// Records in the window, finished or not.
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
        fn the_committable_offset_is_never_beyond_the_lowest_unfinished_record(
            start in 0..100i64,
            gaps in proptest::collection::vec((0..4i64, 0..50usize), 0..60),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..80),
        ) {
            let mut window = Window::starting_at(start);
            let mut unfinished = BTreeMap::new();
            let mut next = start;
            for (gap, size) in gaps {
                prop_assert!(window.receive(next + gap, size));
                prop_assert!(!window.receive(next + gap, size), "added twice");
                unfinished.insert(next + gap, size);
                next += gap + 1;
            }
            let offsets: Vec<i64> = unfinished.keys().copied().collect();
            for index in order {
                prop_assert_eq!(window.finished_below(), unfinished.keys().next().copied().unwrap_or(next));
                if let Some(offset) = offsets.get(index.index(offsets.len().max(1))) {
                    window.finish(*offset);
                    unfinished.remove(offset);
                }
            }
            prop_assert_eq!(window.finished_below(), unfinished.keys().next().copied().unwrap_or(next));
            prop_assert_eq!(window.received_below(), next);
            prop_assert!(window.len() >= unfinished.len());
            prop_assert!(window.bytes() >= unfinished.values().sum());
            for offset in offsets {
                window.finish(offset);
            }
            prop_assert_eq!((window.len(), window.bytes(), window.finished_below()), (0, 0, next));
        }
    }
}
