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

/// The largest in-flight window, of a partition or of all.
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
    total: Bound,
}

impl Holdings {
    pub(super) const fn new(bound: Bound, total: Bound) -> Self {
        Self {
            by_slot: BTreeMap::new(),
            by_partition: BTreeMap::new(),
            next: 0,
            bound,
            total,
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
    /// half full. While all windows together are full, a window is full with its share.
    pub(super) fn turn(&mut self) -> Turned {
        let (bound, share) = (self.bound, self.total.divided_by(self.by_slot.len()));
        let windows = || self.by_slot.values().map(|holding| &holding.window);
        let all = self.total.fill(
            windows().map(Window::len).sum(),
            windows().map(Window::bytes).sum(),
        );
        let mut turned = Turned::default();
        for holding in self.by_slot.values_mut() {
            let (messages, bytes) = (holding.window.len(), holding.window.bytes());
            let own = bound.fill(messages, bytes);
            let of_share = share.fill(messages, bytes);
            let full = own == Fill::Full || (all == Fill::Full && of_share == Fill::Full);
            let has_room =
                own == Fill::HalfEmpty && (all == Fill::HalfEmpty || of_share == Fill::HalfEmpty);
            let partitions = match holding.paused {
                false if full => &mut turned.paused,
                true if has_room => &mut turned.resumed,
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
}

impl Bound {
    fn divided_by(self, count: usize) -> Self {
        let share = |whole: usize| whole.checked_div(count).unwrap_or(whole).max(1);
        Self {
            messages: share(self.messages),
            bytes: share(self.bytes),
        }
    }

    const fn fill(self, messages: usize, bytes: usize) -> Fill {
        if messages >= self.messages || bytes >= self.bytes {
            Fill::Full
        } else if messages <= self.messages / 2 && bytes <= self.bytes / 2 {
            Fill::HalfEmpty
        } else {
            Fill::Between
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_messaging::Topic;

    use super::*;

    const ENDLESS: Bound = Bound {
        messages: usize::MAX,
        bytes: usize::MAX,
    };

    /// Partitions of one topic that have received these numbers of messages.
    fn holdings(total: Bound, received: &[i64]) -> Holdings {
        let mut holdings = Holdings::new(ENDLESS, total);
        for (number, count) in (0..).zip(received) {
            let topic = Topic::from_static("t");
            let partition = Partition { topic, number };
            holdings.assign(Assignment {
                partition,
                start: 0,
            });
            receive(&mut holdings, number, 0..*count);
        }
        holdings
    }

    fn receive(holdings: &mut Holdings, number: i32, offsets: std::ops::Range<i64>) {
        let window = &mut of(holdings, number).window;
        offsets.for_each(|offset| assert!(window.receive(offset, 10)));
    }

    fn of(holdings: &mut Holdings, number: i32) -> &mut Holding {
        let slot = Slot(number.try_into().unwrap());
        holdings.get_mut(slot).unwrap()
    }

    fn numbers(partitions: &[Partition]) -> Vec<i32> {
        partitions
            .iter()
            .map(|partition| partition.number)
            .collect()
    }

    #[test]
    fn all_windows_together_pause_the_fullest_and_a_blocked_one_stops_no_other() {
        let messages = Bound {
            messages: 100,
            ..ENDLESS
        };
        let bytes = Bound {
            bytes: 1_000,
            ..ENDLESS
        };
        for total in [messages, bytes] {
            let mut holdings = holdings(total, &[89, 10, 0, 0]);
            assert_eq!(numbers(&holdings.turn().paused), Vec::<i32>::new());
            receive(&mut holdings, 1, 10..11);
            // Full, and the share is 25.
            assert_eq!(numbers(&holdings.turn().paused), [0]);
            receive(&mut holdings, 2, 0..25);
            assert_eq!(numbers(&holdings.turn().paused), [2]);
            // Partition 0 is blocked for ever; the other one goes on by itself.
            (0..13).for_each(|offset| of(&mut holdings, 2).window.finish(offset));
            assert_eq!(numbers(&holdings.turn().resumed), [2]);
            (0..89).for_each(|offset| of(&mut holdings, 0).window.finish(offset));
            assert_eq!(numbers(&holdings.turn().resumed), [0]);
        }
    }
}
