//! The partitions that a worker holds.

use std::{collections::BTreeMap, sync::Arc};

use mainstay_clock::Monotonic;
use mainstay_messaging::{Assignment, Flow, Partition, Position};

use super::{lanes::Slot, span::Span};
use crate::PartitionStatus;

/// A partition from its assignment to its release.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) partition: Arc<Partition>,
    pub(super) span: Span,
    /// What the broker has acknowledged.
    pub(super) committed: i64,
    pub(super) flow: Flow,
    /// Set when it was asked back: when the transactions in flight are abandoned.
    pub(super) abandon_at: Option<Monotonic>,
}

/// How much a span may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// All partitions held, by their slots.
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

    /// Takes on an assignment; answers with the slot of an earlier one of the same partition, which has ended.
    pub(super) fn assign(&mut self, assignment: Assignment) -> Option<Slot> {
        let slot = Slot(self.next);
        self.next += 1;
        let holding = Holding {
            partition: Arc::new(assignment.partition.clone()),
            span: Span::starting_at(assignment.start),
            committed: assignment.start,
            flow: Flow::Running,
            abandon_at: None,
        };
        self.by_slot.insert(slot, holding);
        let earlier = self.by_partition.insert(assignment.partition, slot);
        if let Some(earlier) = earlier {
            self.by_slot.remove(&earlier);
        }
        earlier
    }

    /// Lets go of a partition.
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

    /// What can be committed and is not yet.
    pub(super) fn committable(&self) -> Vec<Position> {
        self.by_slot
            .values()
            .filter_map(Holding::committable)
            .collect()
    }

    /// Notes what the broker has acknowledged.
    pub(super) fn committed(&mut self, positions: &[Position]) {
        for position in positions {
            if let Some(slot) = self.by_partition.get(&position.partition)
                && let Some(holding) = self.by_slot.get_mut(slot)
            {
                holding.committed = holding.committed.max(position.offset);
            }
        }
    }

    /// What the group has committed of the partitions held.
    pub(super) fn progress(&self) -> Vec<Position> {
        let position = |holding: &Holding| Position {
            partition: Partition::clone(&holding.partition),
            offset: holding.committed,
        };
        self.by_slot.values().map(position).collect()
    }

    /// Partitions that have to be paused, or may go on: at the bound, and below half of it.
    pub(super) fn turn(&mut self) -> [(Flow, Vec<Partition>); 2] {
        let bound = self.bound;
        let mut turned = [(Flow::Paused, Vec::new()), (Flow::Running, Vec::new())];
        for (flow, partitions) in &mut turned {
            for holding in self.by_slot.values_mut() {
                if holding.flow != *flow && holding.wants(bound) == Some(*flow) {
                    holding.flow = *flow;
                    partitions.push(Partition::clone(&holding.partition));
                }
            }
        }
        turned
    }

    pub(super) fn status(&self) -> Vec<PartitionStatus> {
        self.by_slot
            .values()
            .map(|holding| PartitionStatus {
                partition: Partition::clone(&holding.partition),
                finished_below: holding.span.finished_below(),
                received_below: holding.span.received_below(),
                in_span: holding.span.len(),
                paused: holding.flow == Flow::Paused,
            })
            .collect()
    }
}

impl Holding {
    pub(super) fn committable(&self) -> Option<Position> {
        let offset = self.span.finished_below();
        (offset > self.committed).then(|| Position {
            partition: Partition::clone(&self.partition),
            offset,
        })
    }

    fn wants(&self, bound: Bound) -> Option<Flow> {
        let (messages, bytes) = (self.span.len(), self.span.bytes());
        if messages >= bound.messages || bytes >= bound.bytes {
            Some(Flow::Paused)
        } else if messages <= bound.messages / 2 && bytes <= bound.bytes / 2 {
            Some(Flow::Running)
        } else {
            None
        }
    }
}
