//! The partitions that are assigned to a worker.

use std::{collections::BTreeMap, sync::Arc};

use mainstay_clock::Monotonic;
use mainstay_messaging::{Partition, Position, broker::Assignment};

use super::{lanes::Slot, window::Window};
use crate::status::PartitionStatus;

/// A partition from its assignment to its release.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) partition: Arc<Partition>,
    pub(super) window: Window,
    /// The offset that the broker has acknowledged.
    pub(super) committed: i64,
    pub(super) paused: bool,
    /// Set when it was revoked: when its running transactions are abandoned.
    pub(super) abandon_at: Option<Monotonic>,
}

/// The largest in-flight window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// Partitions that were paused and resumed.
#[derive(Default, Debug)]
pub(super) struct Turned {
    pub(super) paused: Vec<Partition>,
    pub(super) resumed: Vec<Partition>,
}

/// How full an in-flight window is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fill {
    Full,
    Between,
    HalfEmpty,
}

/// All assigned partitions, by their slots.
#[derive(Debug)]
pub(super) struct Holdings {
    by_slot: BTreeMap<Slot, Holding>,
    by_partition: BTreeMap<Partition, Slot>,
    next: u64,
    bound: Bound,
}

impl Holdings {
    pub(super) const fn new(bound: Bound) -> Self {
        Self {
            by_slot: BTreeMap::new(),
            by_partition: BTreeMap::new(),
            next: 0,
            bound,
        }
    }

    /// Adds an assignment. Returns the slot of an earlier one of the same partition, which it ends.
    pub(super) fn assign(&mut self, assignment: Assignment) -> Option<Slot> {
        let slot = Slot(self.next);
        self.next += 1;
        let holding = Holding {
            partition: Arc::new(assignment.partition.clone()),
            window: Window::starting_at(assignment.start),
            committed: assignment.start,
            paused: false,
            abandon_at: None,
        };
        self.by_slot.insert(slot, holding);
        let earlier = self.by_partition.insert(assignment.partition, slot);
        if let Some(earlier) = earlier {
            self.by_slot.remove(&earlier);
        }
        earlier
    }

    /// Removes a partition.
    pub(super) fn remove(&mut self, partition: &Partition) -> Option<(Slot, Holding)> {
        let slot = self.by_partition.remove(partition)?;
        Some((slot, self.by_slot.remove(&slot)?))
    }

    pub(super) fn slot_of(&self, partition: &Partition) -> Option<Slot> {
        self.by_partition.get(partition).copied()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Holding> {
        self.by_slot.get_mut(&slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Holding)> {
        self.by_slot.iter().map(|(slot, holding)| (*slot, holding))
    }

    /// Offsets that can be committed and are not yet.
    pub(super) fn committable(&self) -> Vec<Position> {
        self.by_slot
            .values()
            .filter_map(Holding::committable)
            .collect()
    }

    /// Notes the offsets that the broker has acknowledged.
    pub(super) fn committed(&mut self, positions: &[Position]) {
        for position in positions {
            if let Some(slot) = self.by_partition.get(&position.partition)
                && let Some(holding) = self.by_slot.get_mut(slot)
            {
                holding.committed = holding.committed.max(position.offset);
            }
        }
    }

    /// The group's committed offsets of the assigned partitions.
    pub(super) fn progress(&self) -> Vec<Position> {
        let position = |holding: &Holding| Position {
            partition: Partition::clone(&holding.partition),
            offset: holding.committed,
        };
        self.by_slot.values().map(position).collect()
    }

    /// Partitions to pause, whose window is full, and partitions to resume, whose window is at most
    /// half full.
    pub(super) fn turn(&mut self) -> Turned {
        let bound = self.bound;
        let mut turned = Turned::default();
        for holding in self.by_slot.values_mut() {
            let partitions = match (holding.paused, holding.fill(bound)) {
                (false, Fill::Full) => &mut turned.paused,
                (true, Fill::HalfEmpty) => &mut turned.resumed,
                _ => continue,
            };
            partitions.push(Partition::clone(&holding.partition));
            holding.paused = !holding.paused;
        }
        turned
    }

    pub(super) fn status(&self) -> Vec<PartitionStatus> {
        self.by_slot
            .values()
            .map(|holding| PartitionStatus {
                partition: Partition::clone(&holding.partition),
                finished_below: holding.window.finished_below(),
                received_below: holding.window.received_below(),
                in_flight: holding.window.len(),
                paused: holding.paused,
            })
            .collect()
    }
}

impl Holding {
    pub(super) fn committable(&self) -> Option<Position> {
        let offset = self.window.finished_below();
        (offset > self.committed).then(|| Position {
            partition: Partition::clone(&self.partition),
            offset,
        })
    }

    fn fill(&self, bound: Bound) -> Fill {
        let (messages, bytes) = (self.window.len(), self.window.bytes());
        if messages >= bound.messages || bytes >= bound.bytes {
            Fill::Full
        } else if messages <= bound.messages / 2 && bytes <= bound.bytes / 2 {
            Fill::HalfEmpty
        } else {
            Fill::Between
        }
    }
}
