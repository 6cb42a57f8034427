//! What one member of a group holds, and what it has to be told: the same protocol on every log of ours.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use mainstay_clock::Monotonic;

use crate::{Assignment, Error, Flow, Incoming, Partition, Position};

/// What the log says about one partition of a group; `K` is the log's own name for the partition.
#[derive(Clone, Debug)]
pub(crate) struct Claim<K> {
    pub(crate) id: K,
    pub(crate) partition: Partition,
    pub(crate) owner: Option<String>,
    /// Grows with every change of owner.
    pub(crate) epoch: i64,
    pub(crate) committed: i64,
    /// The oldest offset still kept.
    pub(crate) first: i64,
    /// The offset that the next record gets.
    pub(crate) next: i64,
}

/// What the log says about the group after a member's tick.
#[derive(Debug)]
pub(crate) struct View<K> {
    /// Claims that are this member's.
    pub(crate) held: Vec<Claim<K>>,
    /// Those of them that should move elsewhere.
    pub(crate) wanted_elsewhere: Vec<K>,
}

/// A partition that is this member's.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) partition: Partition,
    pub(crate) epoch: i64,
    /// Offset of the next record to hand out.
    pub(crate) next: i64,
    paused: bool,
    /// Set when it was asked back: when it goes at the latest.
    revoked_until: Option<Monotonic>,
}

/// Everything that is this member's, and the events it was not told yet.
#[derive(Debug)]
pub(crate) struct Holdings<K> {
    held: BTreeMap<K, Held>,
    events: VecDeque<Incoming>,
}

/// Offsets to store, each under the epoch that fences it.
#[derive(Debug)]
pub(crate) struct Fenced<K> {
    /// Partition, epoch, offset; each partition once, with its highest offset.
    pub(crate) offsets: Vec<(K, i64, i64)>,
    /// A position that is not this member's.
    pub(crate) foreign: Option<Position>,
}

impl<K: Ord + Clone> Holdings<K> {
    pub(crate) const fn new() -> Self {
        Self {
            held: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// The next thing to tell.
    pub(crate) fn event(&mut self) -> Option<Incoming> {
        self.events.pop_front()
    }

    /// Compares the log's view with what is held and notes what to tell: lost, then assigned, then revoked.
    /// Answers with what was asked back too long ago; it is to be taken away with [`take_away`](Self::take_away).
    pub(crate) fn observe(
        &mut self,
        view: View<K>,
        now: Monotonic,
        revocation: Duration,
    ) -> Result<Vec<K>, Error> {
        let lost: Vec<K> = self
            .held
            .iter()
            .filter(|(id, held)| {
                !view
                    .held
                    .iter()
                    .any(|claim| claim.id == **id && claim.epoch == held.epoch)
            })
            .map(|(id, _)| id.clone())
            .collect();
        self.take_away(&lost);
        let (mut assigned, mut out_of_range) = (Vec::new(), None);
        for claim in view.held {
            let at = self
                .held
                .get(&claim.id)
                .map_or(claim.committed, |held| held.next);
            if at < claim.first || at > claim.next {
                out_of_range = Some(Error::OffsetOutOfRange {
                    committed: Position {
                        partition: claim.partition,
                        offset: at,
                    },
                    first: claim.first,
                    next: claim.next,
                });
            } else if !self.held.contains_key(&claim.id) {
                assigned.push(self.take(claim));
            }
        }
        if !assigned.is_empty() {
            self.events.push_back(Incoming::Assigned(assigned));
        }
        self.revoke(&view.wanted_elsewhere, now, revocation);
        out_of_range.map_or_else(|| Ok(self.overdue(now)), Err)
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

    fn revoke(&mut self, wanted: &[K], now: Monotonic, deadline: Duration) {
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
            self.events.push_back(Incoming::Revoked {
                partitions,
                deadline,
            });
        }
    }

    /// Also those that nobody wants any more: who was told to give a partition back has stopped reading it.
    fn overdue(&self, now: Monotonic) -> Vec<K> {
        self.held
            .iter()
            .filter(|(_, held)| {
                held.revoked_until
                    .is_some_and(|until| until.has_passed_at(now))
            })
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Forgets partitions that are gone already, and tells so.
    pub(crate) fn take_away(&mut self, ids: &[K]) {
        let lost: Vec<Partition> = ids
            .iter()
            .filter_map(|id| self.held.remove(id))
            .map(|held| held.partition)
            .collect();
        if !lost.is_empty() {
            self.withdraw_revocations(&lost);
            self.events.push_back(Incoming::Lost(lost));
        }
    }

    /// Forgets partitions that were given back: nothing is to be told about them any more.
    pub(crate) fn give_back(&mut self, partitions: &[Partition]) {
        self.held
            .retain(|_, held| !partitions.contains(&held.partition));
        for event in &mut self.events {
            match event {
                Incoming::Assigned(assigned) => {
                    assigned.retain(|a| !partitions.contains(&a.partition));
                }
                Incoming::Lost(lost) => lost.retain(|p| !partitions.contains(p)),
                Incoming::Revoked { .. } | Incoming::Deliveries(_) | Incoming::Answering => {}
            }
        }
        self.withdraw_revocations(partitions);
    }

    /// A revocation that was not told yet must not promise time that has gone by.
    fn withdraw_revocations(&mut self, gone: &[Partition]) {
        for event in &mut self.events {
            if let Incoming::Revoked { partitions, .. } = event {
                partitions.retain(|p| !gone.contains(p));
            }
        }
        self.events.retain(|event| match event {
            Incoming::Assigned(assigned) => !assigned.is_empty(),
            Incoming::Revoked { partitions, .. } | Incoming::Lost(partitions) => {
                !partitions.is_empty()
            }
            Incoming::Deliveries(deliveries) => !deliveries.is_empty(),
            Incoming::Answering => true,
        });
    }

    /// Partitions that deliver.
    pub(crate) fn flowing(&self) -> impl Iterator<Item = (&K, &Held)> {
        self.held
            .iter()
            .filter(|(_, held)| !held.paused && held.revoked_until.is_none())
    }

    /// Notes that the record at `offset` is handed out, and says where it lies. None if it is not its turn:
    /// records before it are gone, and skipping them silently would lose them.
    pub(crate) fn hand_out(&mut self, id: &K, offset: i64) -> Option<Position> {
        let held = self.held.get_mut(id).filter(|held| held.next == offset)?;
        held.next += 1;
        Some(Position {
            partition: held.partition.clone(),
            offset,
        })
    }

    pub(crate) fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        for held in self.held.values_mut() {
            if partitions.contains(&held.partition) {
                held.paused = flow == Flow::Paused;
            }
        }
    }

    /// The log's names of those `partitions` that are held, each once.
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

    /// Puts the epochs to `positions`.
    pub(crate) fn fence(&self, positions: &[Position]) -> Fenced<K> {
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
        Fenced {
            offsets: offsets
                .into_iter()
                .map(|(id, (epoch, offset))| (id, epoch, offset))
                .collect(),
            foreign,
        }
    }

    /// Ends a commit of which the log took `stored`: what it did not take is lost.
    pub(crate) fn settle(&mut self, fenced: Fenced<K>, stored: &[K]) -> Result<(), Error> {
        let mut foreign = fenced.foreign;
        for (id, _, offset) in fenced.offsets {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    const DEADLINE: Duration = Duration::from_secs(1);

    fn partition() -> Partition {
        Partition {
            topic: Topic::from_static("t"),
            number: 0,
        }
    }

    /// Holds one partition that is wanted elsewhere; nothing but its assignment was told yet.
    fn asked_back() -> Holdings<i64> {
        let claim = Claim {
            id: 1,
            partition: partition(),
            owner: None,
            epoch: 1,
            committed: 0,
            first: 0,
            next: 0,
        };
        let view = View {
            held: vec![claim],
            wanted_elsewhere: vec![1],
        };
        let mut holdings = Holdings::new();
        let overdue = holdings.observe(view, Monotonic::from_micros(0), DEADLINE);
        assert_eq!(overdue.unwrap(), Vec::<i64>::new());
        assert!(matches!(holdings.event(), Some(Incoming::Assigned(_))));
        holdings
    }

    #[test]
    fn a_revocation_that_was_not_told_in_time_is_told_as_a_loss_only() {
        let mut holdings = asked_back();
        holdings.take_away(&[1]);
        assert!(matches!(holdings.event(), Some(Incoming::Lost(_))));
        assert!(holdings.event().is_none());
    }

    #[test]
    fn nothing_more_is_told_about_a_partition_that_was_given_back() {
        let mut holdings = asked_back();
        holdings.take_away(&[1]);
        holdings.give_back(&[partition()]);
        assert!(holdings.event().is_none());
        let mut holdings = asked_back();
        holdings.give_back(&[partition()]);
        assert!(holdings.event().is_none());
    }
}
