//! Logs whose offsets have gaps.

use mainstay_clock::Monotonic;

use super::{Held, Holdings};

impl Held {
    /// Notes that the record at `offset` is delivered. False if it lies before the next one: it
    /// belongs to an earlier assignment. A log without a record between two others was compacted, or
    /// has the marker of a transaction there.
    pub(crate) const fn hand_out_behind_gap(&mut self, offset: i64) -> bool {
        let comes_next = self.next <= offset;
        if comes_next {
            self.next = offset + 1;
        }
        comes_next
    }
}

impl<K: Ord + Clone> Holdings<K> {
    pub(crate) fn held_mut(&mut self, id: &K) -> Option<&mut Held> {
        self.held.get_mut(id)
    }

    /// The ids of all partitions that are held.
    pub(crate) fn all(&self) -> Vec<K> {
        self.held.keys().cloned().collect()
    }

    /// When the next revocation ends.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.held
            .values()
            .filter_map(|held| held.revoked_until)
            .min()
    }
}
