//! Logs whose offsets have gaps.

use mainstay_clock::Monotonic;

use super::Holdings;
use crate::broker::Position;

impl<K: Ord + Clone> Holdings<K> {
    /// Notes that the record at `offset` is delivered, and returns its position. None if it lies
    /// before the next one: it belongs to an earlier assignment. A log without a record between two
    /// others was compacted, or has the marker of a transaction there.
    pub(crate) fn hand_out_behind_gap(&mut self, id: &K, offset: i64) -> Option<Position> {
        let held = self.held.get_mut(id).filter(|held| held.next <= offset)?;
        held.next = offset + 1;
        Some(Position {
            partition: held.partition.clone(),
            offset,
        })
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
