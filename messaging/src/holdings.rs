//! The partitions that one member of a group holds, and its next events. All brokers of this crate
//! share it.

#[cfg(feature = "kafka")]
mod gaps;
#[cfg(test)]
#[cfg(any(feature = "memory", feature = "sqlite"))]
mod tests;
#[cfg(any(feature = "memory", feature = "sqlite"))]
pub(crate) mod view;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use mainstay_clock::Monotonic;

use crate::{
    Error, Group,
    broker::{Assignment, ConsumerEvent, Partition, Position},
};

/// One partition of a group, as the log has it; `K` is the log's id of the partition.
#[derive(Clone, Debug)]
pub(crate) struct Claim<K> {
    pub(crate) id: K,
    pub(crate) partition: Partition,
    #[allow(dead_code, reason = "Kafka divides the partitions of a group itself")]
    pub(crate) owner: Option<String>,
    /// Grows with every change of owner.
    pub(crate) epoch: i64,
    pub(crate) committed: i64,
    /// The oldest offset still kept.
    pub(crate) first: i64,
    /// The offset that the next record gets.
    pub(crate) next: i64,
}

impl<K> Claim<K> {
    /// Whether the log has what comes next: the record at `at` or, for a new holder, behind the
    /// committed offset.
    pub(crate) fn check(&self, at: Option<i64>, group: &Group) -> Result<(), Error> {
        let at = at.unwrap_or(self.committed);
        if (self.first..=self.next).contains(&at) {
            return Ok(());
        }
        Err(Error::OffsetOutOfRange {
            group: group.clone(),
            committed: Position {
                partition: self.partition.clone(),
                offset: at,
            },
            first: self.first,
            next: self.next,
        })
    }
}

/// A partition that is this member's.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) partition: Partition,
    pub(crate) epoch: i64,
    /// Offset of the next record to hand out.
    pub(crate) next: i64,
    paused: bool,
    /// Set when it is revoked: when it moves at the latest.
    revoked_until: Option<Monotonic>,
}

/// The partitions of this member, and the events it has not read yet.
#[derive(Debug)]
pub(crate) struct Holdings<K> {
    group: Group,
    held: BTreeMap<K, Held>,
    events: VecDeque<ConsumerEvent>,
}

/// Offsets to store, each with the epoch of its assignment.
#[derive(Debug)]
pub(crate) struct Commit<K> {
    /// Partition, epoch, offset: the highest one of each partition.
    pub(crate) offsets: Vec<(K, i64, i64)>,
    /// A position that is not this member's.
    pub(crate) foreign: Option<Position>,
}

impl<K: Ord + Clone> Holdings<K> {
    pub(crate) const fn new(group: Group) -> Self {
        Self {
            group,
            held: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    pub(crate) const fn group(&self) -> &Group {
        &self.group
    }

    /// The next event to yield.
    pub(crate) fn event(&mut self) -> Option<ConsumerEvent> {
        self.events.pop_front()
    }

    /// Takes partitions, and queues that event.
    pub(crate) fn assign(&mut self, claims: Vec<Claim<K>>) {
        let assigned: Vec<_> = claims.into_iter().map(|claim| self.take(claim)).collect();
        if !assigned.is_empty() {
            self.events.push_back(ConsumerEvent::Assigned(assigned));
        }
    }

    fn take(&mut self, claim: Claim<K>) -> Assignment {
        let assignment = Assignment {
            partition: claim.partition,
            start: claim.committed,
        };
        self.held.insert(
            claim.id,
            Held {
                partition: assignment.partition.clone(),
                epoch: claim.epoch,
                next: claim.committed,
                paused: false,
                revoked_until: None,
            },
        );
        assignment
    }

    /// Notes that these partitions are wanted elsewhere, and queues that event.
    pub(crate) fn revoke(&mut self, wanted: &[K], now: Monotonic, deadline: Duration) {
        let mut partitions = Vec::new();
        for id in wanted {
            if let Some(held) = self.held.get_mut(id)
                && held.revoked_until.is_none()
            {
                held.revoked_until = Some(now + deadline);
                partitions.push(held.partition.clone());
            }
        }
        if !partitions.is_empty() {
            self.events.push_back(ConsumerEvent::Revoked {
                partitions,
                deadline,
            });
        }
    }

    /// Includes partitions that are not wanted elsewhere any more: a member stops reading a revoked
    /// partition.
    pub(crate) fn overdue(&self, now: Monotonic) -> Vec<K> {
        self.held
            .iter()
            .filter(|(_, held)| {
                held.revoked_until
                    .is_some_and(|until| until.has_passed_at(now))
            })
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Removes partitions that are lost, and queues that event.
    pub(crate) fn take_away(&mut self, ids: &[K]) {
        let lost: Vec<Partition> = ids
            .iter()
            .filter_map(|id| self.held.remove(id))
            .map(|held| held.partition)
            .collect();
        if !lost.is_empty() {
            self.withdraw_revocations(&lost);
            self.events.push_back(ConsumerEvent::Lost(lost));
        }
    }

    /// Removes partitions that were given back, and their events.
    pub(crate) fn give_back(&mut self, partitions: &[Partition]) {
        self.held
            .retain(|_, held| !partitions.contains(&held.partition));
        for event in &mut self.events {
            match event {
                ConsumerEvent::Assigned(assigned) => {
                    assigned.retain(|a| !partitions.contains(&a.partition));
                }
                ConsumerEvent::Lost(lost) => lost.retain(|p| !partitions.contains(p)),
                ConsumerEvent::Revoked { .. }
                | ConsumerEvent::Deliveries(_)
                | ConsumerEvent::Recovered => {}
            }
        }
        self.withdraw_revocations(partitions);
    }

    /// Removes revocations that were not read yet: their deadline has passed.
    fn withdraw_revocations(&mut self, gone: &[Partition]) {
        for event in &mut self.events {
            if let ConsumerEvent::Revoked { partitions, .. } = event {
                partitions.retain(|p| !gone.contains(p));
            }
        }
        self.events.retain(|event| match event {
            ConsumerEvent::Assigned(assigned) => !assigned.is_empty(),
            ConsumerEvent::Revoked { partitions, .. } | ConsumerEvent::Lost(partitions) => {
                !partitions.is_empty()
            }
            ConsumerEvent::Deliveries(deliveries) => !deliveries.is_empty(),
            ConsumerEvent::Recovered => true,
        });
    }

    /// Partitions that deliver.
    pub(crate) fn delivering(&self) -> impl Iterator<Item = (&K, &Held)> {
        self.held
            .iter()
            .filter(|(_, held)| !held.paused && held.revoked_until.is_none())
    }

    pub(crate) fn pause(&mut self, partitions: &[Partition]) {
        self.set_paused(partitions, true);
    }

    pub(crate) fn resume(&mut self, partitions: &[Partition]) {
        self.set_paused(partitions, false);
    }

    fn set_paused(&mut self, partitions: &[Partition], paused: bool) {
        for held in self.held.values_mut() {
            if partitions.contains(&held.partition) {
                held.paused = paused;
            }
        }
    }

    /// The ids of those `partitions` that are held.
    pub(crate) fn ids(&self, partitions: &[Partition]) -> Vec<K> {
        self.held
            .iter()
            .filter(|(_, held)| partitions.contains(&held.partition))
            .map(|(id, _)| id.clone())
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.held.len()
    }

    /// Adds the epochs to `positions`.
    pub(crate) fn prepare(&self, positions: &[Position]) -> Commit<K> {
        let mut offsets: BTreeMap<K, (i64, i64)> = BTreeMap::new();
        let mut foreign = None;
        for position in positions {
            let held = self
                .held
                .iter()
                .find(|(_, held)| held.partition == position.partition);
            match held {
                Some((id, held)) => {
                    let (_, highest) = offsets
                        .entry(id.clone())
                        .or_insert((held.epoch, position.offset));
                    *highest = position.offset.max(*highest);
                }
                None => foreign = Some(position.clone()),
            }
        }
        Commit {
            offsets: offsets
                .into_iter()
                .map(|(id, (epoch, offset))| (id, epoch, offset))
                .collect(),
            foreign,
        }
    }

    /// Ends a commit of which the log stored `stored`. The other partitions are lost.
    pub(crate) fn finish(&mut self, commit: Commit<K>, stored: &[K]) -> Result<(), Error> {
        let mut foreign = commit.foreign;
        for (id, _, offset) in commit.offsets {
            if !stored.contains(&id)
                && let Some(held) = self.held.get(&id)
            {
                foreign = Some(Position {
                    partition: held.partition.clone(),
                    offset,
                });
                self.take_away(&[id]);
            }
        }
        foreign.map_or(Ok(()), |position| Err(Error::NotAssigned(position)))
    }
}
