//! A group's membership: leases, the division of partitions, and epochs that keep former owners
//! out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mainstay_clock::Monotonic;

use crate::{
    Partition, StartAt, Topic, assignment,
    holdings::{self, view::View},
    memory::log::Log,
};

/// One group.
#[derive(Default, Debug)]
pub(super) struct Membership {
    members: BTreeMap<String, Lease>,
    claims: BTreeMap<Partition, Claim>,
    /// Topics that a member has subscribed to, present or not.
    subscribed: BTreeSet<Topic>,
    /// Counts changes that other members must see at once: members that came or went, partitions
    /// that became free.
    pub(super) generation: u64,
}

#[derive(Debug)]
struct Lease {
    topics: Vec<Topic>,
    until: Monotonic,
}

#[derive(Debug)]
struct Claim {
    owner: Option<String>,
    epoch: i64,
    committed: i64,
}

/// A member's name and subscription.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) topics: Vec<Topic>,
    pub(super) start_at: StartAt,
}

impl Membership {
    /// Renews the member's lease, removes members whose lease has ended, takes what is free and due
    /// to this member.
    pub(super) fn tick(
        &mut self,
        log: &Log,
        me: &Member,
        now: Monotonic,
        lease: Duration,
    ) -> View<Partition> {
        let renewed = Lease {
            topics: me.topics.clone(),
            until: now + lease,
        };
        let joined = self.members.insert(me.name.clone(), renewed).is_none();
        let before = self.members.len();
        // A member that ticks is alive, however short its lease is.
        self.members
            .retain(|name, lease| *name == me.name || !lease.until.has_passed_at(now));
        let expired = self.members.len() != before;
        self.free_claims();
        self.admit_partitions(log, me);

        let target = self.target();
        let due = |partition: &Partition| target.get(partition) == Some(&me.name);
        for (partition, claim) in &mut self.claims {
            if claim.owner.is_none() && due(partition) {
                claim.owner = Some(me.name.clone());
                claim.epoch += 1;
            }
        }
        if joined || expired {
            self.generation += 1;
        }
        let mine = |claim: &&holdings::Claim<_>| claim.owner.as_ref() == Some(&me.name);
        let held: Vec<_> = self.claims(log).filter(|claim| mine(&claim)).collect();
        let wanted_elsewhere = held
            .iter()
            .map(|claim| claim.id.clone())
            .filter(|partition| !due(partition))
            .collect();
        View {
            held,
            wanted_elsewhere,
        }
    }

    /// Stores offsets, each (partition, epoch, offset); returns those whose epoch was this
    /// member's.
    pub(super) fn commit(&mut self, me: &str, offsets: &[(Partition, i64, i64)]) -> Vec<Partition> {
        let mut stored = Vec::with_capacity(offsets.len());
        for (partition, epoch, offset) in offsets {
            if let Some(claim) = self.claims.get_mut(partition)
                && claim.owner.as_deref() == Some(me)
                && claim.epoch == *epoch
            {
                claim.committed = claim.committed.max(*offset);
                stored.push(partition.clone());
            }
        }
        stored
    }

    /// Gives partitions back; `leaving` ends the membership, too.
    pub(super) fn release(&mut self, me: &str, partitions: &[Partition], leaving: bool) {
        for partition in partitions {
            if let Some(claim) = self.claims.get_mut(partition)
                && claim.owner.as_deref() == Some(me)
            {
                claim.owner = None;
            }
        }
        if leaving {
            self.members.remove(me);
        }
        self.generation += 1;
    }

    /// Ends the membership of the member that holds `partition`, as if its lease had ended.
    pub(super) fn expel_holder(&mut self, partition: &Partition) {
        if let Some(owner) = self.claims.get(partition).and_then(|c| c.owner.clone()) {
            self.members.remove(&owner);
            self.free_claims();
            self.generation += 1;
        }
    }

    /// Raises the epoch of every partition that a member holds: it loses them, and gets them again
    /// from the committed offset.
    pub(super) fn reassign(&mut self, concerns: impl Fn(&str) -> bool) {
        for claim in self.claims.values_mut() {
            if claim.owner.as_deref().is_some_and(&concerns) {
                claim.epoch += 1;
            }
        }
        self.generation += 1;
    }

    pub(super) fn progress(&self, log: &Log) -> impl Iterator<Item = (Partition, i64, i64)> {
        self.claims(log)
            .map(|claim| (claim.partition, claim.committed, claim.next))
    }

    /// One partition that `member` holds.
    pub(super) fn held_by(&self, member: &str) -> Option<Partition> {
        self.claims
            .iter()
            .find(|(_, claim)| claim.owner.as_deref() == Some(member))
            .map(|(partition, _)| partition.clone())
    }

    fn claims(&self, log: &Log) -> impl Iterator<Item = holdings::Claim<Partition>> {
        self.claims.iter().map(|(partition, claim)| {
            let (first, next) = log.ends(partition);
            holdings::Claim {
                id: partition.clone(),
                partition: partition.clone(),
                owner: claim.owner.clone(),
                epoch: claim.epoch,
                committed: claim.committed,
                first,
                next,
            }
        })
    }

    /// Takes partitions from former members.
    fn free_claims(&mut self) {
        for claim in self.claims.values_mut() {
            claim
                .owner
                .take_if(|owner| !self.members.contains_key(owner));
        }
    }

    /// A group without an offset in a partition starts where the member says. If the group has
    /// subscribed to the topic before, the partition came later: it starts at its beginning.
    fn admit_partitions(&mut self, log: &Log, me: &Member) {
        for topic in &me.topics {
            let start_at = if self.subscribed.contains(topic) {
                StartAt::Earliest
            } else {
                me.start_at
            };
            for partition in log.partitions(topic) {
                let (first, next) = log.ends(&partition);
                self.claims.entry(partition).or_insert(Claim {
                    owner: None,
                    epoch: 0,
                    committed: match start_at {
                        StartAt::Earliest => first,
                        StartAt::Latest => next,
                    },
                });
            }
        }
        self.subscribed.extend(me.topics.iter().cloned());
    }

    fn target(&self) -> BTreeMap<Partition, String> {
        let topics: BTreeSet<&Topic> = self.claims.keys().map(|p| &p.topic).collect();
        topics
            .into_iter()
            .flat_map(|topic| {
                let partitions = self
                    .claims
                    .iter()
                    .filter(|(partition, _)| partition.topic == *topic)
                    .map(|(partition, claim)| (partition.clone(), claim.owner.clone()))
                    .collect();
                let readers: Vec<String> = self
                    .members
                    .iter()
                    .filter(|(_, lease)| lease.topics.contains(topic))
                    .map(|(name, _)| name.clone())
                    .collect();
                assignment::balance(&partitions, &readers)
            })
            .collect()
    }
}
