//! Which messages may start: one lane per key, at most one transaction at a time in each.

mod numbers;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use mainstay_clock::Monotonic;

use super::item::{Hold, Item};
use numbers::ByNumber;

/// One assignment of one partition. A partition that is assigned again gets another slot, so that
/// transactions of the earlier assignment do not touch it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Slot(pub(super) u64);

/// One lane; numbers are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct LaneId(u64);

/// Part of a batch: messages of one lane, in order.
#[derive(Debug)]
pub(super) struct Portion<D> {
    pub(super) lane: LaneId,
    pub(super) slot: Slot,
    pub(super) items: VecDeque<Item<D>>,
}

/// All waiting messages, in lanes by key. A message without a key has a lane of its own.
#[derive(Debug)]
pub(super) struct Lanes<D> {
    by_id: HashMap<LaneId, Lane<D>, ByNumber>,
    by_key: HashMap<Slot, HashMap<Arc<[u8]>, LaneId>, ByNumber>,
    /// Lanes whose head may start, longest waiting first. May name lanes that were removed.
    ready: VecDeque<LaneId>,
    delayed: BTreeSet<(Monotonic, LaneId)>,
    next: u64,
}

#[derive(Debug)]
struct Lane<D> {
    slot: Slot,
    key: Option<Arc<[u8]>>,
    items: VecDeque<Item<D>>,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Ready,
    /// A portion of it is running: nothing more starts until that has ended.
    Running,
    Delayed(Monotonic),
    Blocked,
}

/// The end of the ready queue at which a lane is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Front,
    Back,
}

impl<D> Lanes<D> {
    pub(super) fn new() -> Self {
        Self {
            by_id: HashMap::default(),
            by_key: HashMap::default(),
            ready: VecDeque::new(),
            delayed: BTreeSet::new(),
            next: 0,
        }
    }

    /// Adds a message behind those of its key.
    pub(super) fn push(&mut self, slot: Slot, key: Option<Arc<[u8]>>, item: Item<D>) {
        let id = LaneId(self.next);
        if let Some(key) = &key {
            let keys = self.by_key.entry(slot).or_default();
            let of_key = *keys.entry(Arc::clone(key)).or_insert(id);
            if of_key != id
                && let Some(lane) = self.by_id.get_mut(&of_key)
            {
                lane.items.push_back(item);
                return;
            }
        }
        self.next += 1;
        let lane = Lane {
            slot,
            key,
            items: VecDeque::from([item]),
            phase: Phase::Ready,
        };
        self.by_id.insert(id, lane);
        self.ready.push_back(id);
    }

    /// Takes the next batch: up to `limit` messages that may start at `now`, fewer if one of them
    /// needs a smaller batch.
    pub(super) fn take(&mut self, limit: usize, now: Monotonic) -> Vec<Portion<D>> {
        self.wake(now);
        let mut portions = Vec::with_capacity(limit.min(self.ready.len()));
        // Lanes whose head needs a smaller batch than this one: they are first next time.
        let mut passed_over = Vec::new();
        let (mut taken, mut limit) = (0, limit);
        while taken < limit
            && passed_over.len() < limit
            && let Some(id) = self.ready.pop_front()
        {
            let Some(lane) = self.by_id.get_mut(&id) else {
                continue;
            };
            let mut count = 0;
            for item in &lane.items {
                if taken == limit || item.at_most <= taken || !item.is_due(now) {
                    break;
                }
                limit = limit.min(item.at_most);
                (count, taken) = (count + 1, taken + 1);
            }
            if count == 0 {
                passed_over.push(id);
                continue;
            }
            let items = if count == lane.items.len() {
                std::mem::take(&mut lane.items)
            } else {
                lane.items.drain(..count).collect()
            };
            lane.phase = Phase::Running;
            portions.push(Portion {
                lane: id,
                slot: lane.slot,
                items,
            });
        }
        for id in passed_over.into_iter().rev() {
            self.ready.push_front(id);
        }
        portions
    }

    /// The running portion is finished: the lane goes on with its next messages.
    pub(super) fn finish(&mut self, id: LaneId) {
        self.settle(id, End::Back);
    }

    /// The running portion is not finished: it is the head of its lane again, and the lane is next.
    pub(super) fn give_back(&mut self, portion: Portion<D>) {
        if let Some(lane) = self.by_id.get_mut(&portion.lane) {
            for item in portion.items.into_iter().rev() {
                lane.items.push_front(item);
            }
            self.settle(portion.lane, End::Front);
        }
    }

    /// Removes all lanes of an assignment, running portions included.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.by_key.remove(&slot);
        self.by_id.retain(|_, lane| lane.slot != slot);
        let by_id = &self.by_id;
        self.delayed.retain(|(_, id)| by_id.contains_key(id));
        self.ready.retain(|id| by_id.contains_key(id));
    }

    /// Whether a lane may start now.
    pub(super) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the next lane with a delay may start.
    pub(super) fn next_wake(&self) -> Option<Monotonic> {
        self.delayed.first().map(|(when, _)| *when)
    }

    /// How many messages wait behind the head of a lane; `None` if the lane does not exist.
    pub(super) fn behind_head(&self, id: LaneId) -> Option<usize> {
        let lane = self.by_id.get(&id)?;
        Some(match lane.phase {
            Phase::Running => lane.items.len(),
            _ => lane.items.len().saturating_sub(1),
        })
    }

    fn wake(&mut self, now: Monotonic) {
        while let Some(&(when, id)) = self.delayed.first()
            && when.has_passed_at(now)
        {
            self.delayed.pop_first();
            if let Some(lane) = self.by_id.get_mut(&id) {
                lane.phase = Phase::Ready;
                self.ready.push_back(id);
            }
        }
    }

    fn settle(&mut self, id: LaneId, end: End) {
        let Some(lane) = self.by_id.get_mut(&id) else {
            return;
        };
        let Some(head) = lane.items.front() else {
            if let Some(lane) = self.by_id.remove(&id)
                && let Some(key) = lane.key
                && let Some(keys) = self.by_key.get_mut(&lane.slot)
            {
                keys.remove(&key);
            }
            return;
        };
        match head.hold {
            Hold::None => {
                lane.phase = Phase::Ready;
                match end {
                    End::Front => self.ready.push_front(id),
                    End::Back => self.ready.push_back(id),
                }
            }
            Hold::Until(when) => {
                lane.phase = Phase::Delayed(when);
                self.delayed.insert((when, id));
            }
            Hold::Forever => lane.phase = Phase::Blocked,
        }
    }
}

#[cfg(test)]
mod tests;
