//! Reading: a member of a group that reads by offset and keeps its lease.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mainstay_clock::Monotonic;

use crate::{
    Consumer, ConsumerEvent, Content, Delivery, Error, Flow, Group, Partition, Position, StartAt,
    Topic,
    holdings::Holdings,
    memory::{Inner, State, faults::Membership, group::Member},
};

/// One member of a consumer group on the log of a [`Broker`](super::Broker).
///
/// Dropped without [`release`](Consumer::release), it keeps its partitions until its lease ends, as a process
/// that was killed does.
#[derive(Debug)]
pub struct LogConsumer {
    inner: Arc<Inner>,
    group: Group,
    me: Member,
    holdings: Holdings<Partition>,
    next_tick: Option<Monotonic>,
    /// The partition that the last fetch ended with.
    turn: Option<Partition>,
    /// The group's generation at the last tick: others came or went when it has moved on.
    generation: u64,
    /// The rings heard before the last look at the log.
    heard: u64,
    /// Whether the last look at the log failed.
    failed: bool,
}

impl LogConsumer {
    pub(super) fn new(
        inner: Arc<Inner>,
        group: Group,
        topics: &[Topic],
        start_at: StartAt,
    ) -> Self {
        Self {
            me: Member {
                name: inner.options.ids.uuid().to_string(),
                topics: topics.to_vec(),
                start_at,
            },
            heard: 0,
            failed: false,
            inner,
            group,
            holdings: Holdings::new(),
            next_tick: None,
            turn: None,
            generation: 0,
        }
    }

    async fn wait(&mut self) -> Result<ConsumerEvent, Error> {
        loop {
            self.inner.faults.reach()?;
            // Heard before looking, so a change in between rings again.
            self.heard = self.inner.notifier.rings();
            let now = self.inner.options.clock.monotonic();
            self.tick(now)?;
            if let Some(event) = self.holdings.event() {
                return Ok(event);
            }
            let deliveries = self.fetch();
            if !deliveries.is_empty() {
                return Ok(ConsumerEvent::Deliveries(deliveries));
            }
            if self.failed {
                return Ok(ConsumerEvent::Recovered);
            }
            let until_tick = self
                .next_tick
                .map_or(self.inner.options.lease, |due| due.remaining_at(now));
            // Biased, as a run that follows from its seed needs it.
            tokio::select! {
                biased;
                () = self.inner.notifier.rung_since(self.heard) => {}
                () = tokio::time::sleep(until_tick) => {}
            }
        }
    }

    /// Renews the lease and notes what changed, when it is time or the group has changed.
    fn tick(&mut self, now: Monotonic) -> Result<(), Error> {
        let options = &self.inner.options;
        let mut state = self.inner.state();
        let State { log, groups } = &mut *state;
        for fault in self.inner.faults.memberships() {
            match fault {
                Membership::Redeliver(group) => groups.entry(group).or_default().reassign(|_| true),
                Membership::Expel(group, partition) => {
                    groups.entry(group).or_default().expel_holder(&partition);
                }
            }
        }
        let membership = groups.entry(self.group.clone()).or_default();
        match self.inner.faults.strike_member() {
            (true, _) => membership.reassign(|member| member == self.me.name),
            (_, true) => {
                if let Some(partition) = membership.held_by(&self.me.name) {
                    membership.expel_holder(&partition);
                }
            }
            (false, false) => {}
        }
        let due = self.next_tick.is_none_or(|due| due.has_passed_at(now));
        if !due && membership.generation == self.generation {
            return Ok(());
        }
        self.next_tick = Some(now + options.lease / 3);
        let before = membership.generation;
        let view = membership.tick(log, &self.me, now, options.lease);
        self.generation = membership.generation;
        let overdue = self.holdings.observe(view, now, options.revocation);
        if let Ok(overdue) = &overdue
            && !overdue.is_empty()
        {
            membership.release(&self.me.name, overdue, false);
            self.holdings.take_away(overdue);
        }
        let changed = membership.generation != before;
        drop(state);
        if changed {
            self.inner.ring();
        }
        overdue.map(drop)
    }

    fn fetch(&mut self) -> Vec<Delivery> {
        let state = self.inner.state();
        let options = &self.inner.options;
        let mut wanted: Vec<_> = self
            .holdings
            .flowing()
            .map(|(id, held)| (id.clone(), held.next))
            .collect();
        // Where the bytes ran out last time, the partitions behind that one have the first turn now.
        wanted.sort_by_key(|(id, _)| (Some(id) <= self.turn.as_ref(), id.clone()));
        let mut bytes = 0;
        let mut deliveries = Vec::new();
        for (id, next) in wanted {
            for (offset, content) in state.log.read(&id, next, options.fetch_records) {
                if bytes >= options.fetch_bytes {
                    return deliveries;
                }
                bytes += size(&content);
                self.turn = Some(id.clone());
                if let Some(position) = self.holdings.hand_out(&id, offset) {
                    deliveries.push(Delivery { position, content });
                }
            }
        }
        deliveries
    }

    /// On the way to the broker a call may be dropped, and the broker may be away.
    async fn reach(&self) -> Result<(), Error> {
        tokio::task::yield_now().await;
        self.inner.faults.reach()
    }
}

fn size(content: &Content) -> usize {
    match content {
        Content::Message(message) => message.size(),
        Content::Raw(raw) => raw.headers.size() + raw.payload.as_ref().map_or(0, Bytes::len),
    }
}

#[async_trait]
impl Consumer for LogConsumer {
    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        let told = self.wait().await;
        self.failed = told.is_err();
        told
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        self.reach().await?;
        let fenced = self.holdings.fence(positions);
        let stored = self
            .inner
            .state()
            .groups
            .entry(self.group.clone())
            .or_default()
            .commit(&self.me.name, &fenced.offsets);
        self.holdings.settle(fenced, &stored)
    }

    fn flow(&mut self, partitions: &[Partition], flow: Flow) {
        self.holdings.flow(partitions, flow);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.reach().await?;
        let ids = self.holdings.ids(partitions);
        let leaving = ids.len() == self.holdings.count();
        self.inner
            .state()
            .groups
            .entry(self.group.clone())
            .or_default()
            .release(&self.me.name, &ids, leaving);
        self.holdings.give_back(partitions);
        self.inner.ring();
        Ok(())
    }
}
