//! Reading: a member of a group that reads by offset and keeps its lease.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mainstay_clock::Monotonic;

use crate::{
    Error, Group,
    broker::{
        Consumer, ConsumerEvent, Content, Delivery, Partition, Position, builder::Subscription,
        lease::renewal,
    },
    holdings::Holdings,
    memory::{Inner, State, faults::Membership, group::Member},
};

/// One member of a consumer group on the log of a [`Broker`](super::Broker).
///
/// A consumer that is dropped without [`release`](Consumer::release) keeps its partitions until its
/// lease ends, as a killed process does.
#[derive(Debug)]
pub struct LogConsumer {
    inner: Arc<Inner>,
    me: Member,
    holdings: Holdings<Partition>,
    next_tick: Option<Monotonic>,
    /// The partition that the last fetch ended with.
    turn: Option<Partition>,
    /// The group's generation at the last tick. It differs once members came or went.
    generation: u64,
    /// Notifications counted before the last look at the log.
    seen: u64,
    /// Whether the last read of the log failed.
    failed: bool,
}

impl LogConsumer {
    pub(super) fn new(inner: Arc<Inner>, subscription: Subscription) -> Self {
        Self {
            me: Member {
                name: inner.settings.ids.uuid().to_string(),
                topics: subscription.topics,
                start_at: subscription.start_at,
            },
            seen: 0,
            failed: false,
            inner,
            holdings: Holdings::new(subscription.group),
            next_tick: None,
            turn: None,
            generation: 0,
        }
    }

    async fn wait(&mut self) -> Result<ConsumerEvent, Error> {
        loop {
            self.inner.faults.reach()?;
            // Counted before looking, so that a change in between wakes again.
            self.seen = self.inner.notifier.count();
            let now = self.inner.settings.clock.monotonic();
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
                .map_or(self.inner.settings.lease, |due| due.remaining_at(now));
            // Biased, so that a run follows from its seed.
            tokio::select! {
                biased;
                () = self.inner.notifier.notified_since(self.seen) => {}
                () = tokio::time::sleep(until_tick) => {}
            }
        }
    }

    /// Renews the lease and notes changes, when it is time or the group has changed.
    fn tick(&mut self, now: Monotonic) -> Result<(), Error> {
        let settings = &self.inner.settings;
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
        let membership = groups.entry(self.holdings.group().clone()).or_default();
        match self.inner.faults.draw_member_fault() {
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
        self.next_tick = Some(renewal(now, settings.lease));
        let before = membership.generation;
        let view = membership.tick(log, &self.me, now, settings.lease);
        self.generation = membership.generation;
        let overdue = self
            .holdings
            .observe(view, now, settings.revocation_timeout);
        if let Ok(overdue) = &overdue
            && !overdue.is_empty()
        {
            membership.release(&self.me.name, overdue, false);
            self.holdings.take_away(overdue);
        }
        let changed = membership.generation != before;
        drop(state);
        if changed {
            self.inner.notify();
        }
        overdue.map(drop)
    }

    fn fetch(&mut self) -> Vec<Delivery> {
        let state = self.inner.state();
        let settings = &self.inner.settings;
        let mut wanted: Vec<_> = self
            .holdings
            .delivering()
            .map(|(id, held)| (id.clone(), held.next))
            .collect();
        // The partitions behind the one where the bytes ran out come first this time.
        wanted.sort_by_key(|(id, _)| (Some(id) <= self.turn.as_ref(), id.clone()));
        let mut bytes = 0;
        let mut deliveries = Vec::new();
        for (id, next) in wanted {
            for (offset, content) in state.log.read(&id, next, settings.fetch_records) {
                if bytes >= settings.fetch_bytes {
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

    /// A call may be dropped on its way to the broker, and the broker may be away.
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
    fn group(&self) -> &Group {
        self.holdings.group()
    }

    async fn next(&mut self) -> Result<ConsumerEvent, Error> {
        let event = self.wait().await;
        self.failed = event.is_err();
        event
    }

    async fn commit(&mut self, positions: &[Position]) -> Result<(), Error> {
        self.reach().await?;
        let commit = self.holdings.prepare(positions);
        let stored = self
            .inner
            .state()
            .groups
            .entry(self.holdings.group().clone())
            .or_default()
            .commit(&self.me.name, &commit.offsets);
        self.holdings.finish(commit, &stored)
    }

    fn pause(&mut self, partitions: &[Partition]) {
        self.holdings.pause(partitions);
    }

    fn resume(&mut self, partitions: &[Partition]) {
        self.holdings.resume(partitions);
    }

    async fn release(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.reach().await?;
        let ids = self.holdings.ids(partitions);
        let leaving = ids.len() == self.holdings.count();
        self.inner
            .state()
            .groups
            .entry(self.holdings.group().clone())
            .or_default()
            .release(&self.me.name, &ids, leaving);
        self.holdings.give_back(partitions);
        self.inner.notify();
        Ok(())
    }
}
