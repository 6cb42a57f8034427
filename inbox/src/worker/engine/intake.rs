//! News of the broker, and the start of transactions.

use std::{sync::Arc, time::Duration};

use mainstay_clock::Monotonic;
use mainstay_messaging::{
    Partition,
    broker::{ConsumerEvent, Content, Delivery},
};

use super::{
    super::{
        item::Item,
        lanes::Slot,
        pump::{Command, Event},
        work::Member,
    },
    Closing, Engine,
    flights::Landing,
};
use crate::{Error, error::chain, store::WorkerStore};

impl<I: WorkerStore> Engine<I> {
    pub(super) fn take_in(&mut self, event: Event) {
        match event {
            Event::ConsumerEvent(ConsumerEvent::Deliveries(deliveries)) => self.receive(deliveries),
            Event::ConsumerEvent(ConsumerEvent::Assigned(assigned)) => {
                // A pause of an earlier assignment may still be queued, and would hit this one.
                let resumed = assigned.iter().map(|a| a.partition.clone()).collect();
                self.command(Command::Resume(resumed));
                for assignment in assigned {
                    if let Some(earlier) = self.holdings.assign(assignment) {
                        self.lanes.forget(earlier);
                    }
                }
                self.progress.send_replace(self.holdings.progress());
                self.changed = true;
            }
            Event::ConsumerEvent(ConsumerEvent::Revoked {
                partitions,
                deadline,
            }) => self.wind_down(&partitions, deadline),
            // A released partition is still listed if it was assigned again while the command was
            // queued.
            Event::ConsumerEvent(ConsumerEvent::Lost(partitions)) | Event::Released(partitions) => {
                self.drop_partitions(&partitions);
            }
            Event::ConsumerEvent(ConsumerEvent::Recovered) => self.recovered(),
            Event::Committed(positions) => self.offsets_committed(&positions),
            Event::NotCommitted(error) => self.offsets_not_committed(&error),
            Event::Hindered(error) => self.hindered(&error),
            Event::Ended(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, consumer = %self.work.group, "the broker ended this consumer; the worker drains and ends");
                self.ended = Some(Error::Broker(error));
                self.closing = Some(Closing::Draining(
                    self.now() + self.work.settings.drain_timeout,
                ));
            }
        }
    }

    /// Running transactions go on. Whichever commits second, theirs or the new owner's, is a
    /// duplicate.
    fn drop_partitions(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some((slot, _)) = self.holdings.remove(partition) {
                self.lanes.forget(slot);
            }
        }
        self.progress.send_replace(self.holdings.progress());
        self.changed = true;
    }

    /// The broker has answered, so `last_error` is over, unless the database is away.
    pub(super) fn recovered(&mut self) {
        if self.outage.is_none() && self.last_error.take().is_some() {
            self.changed = true;
        }
    }

    pub(super) fn hindered(&mut self, error: &(dyn std::error::Error + 'static)) {
        let error = chain(error);
        tracing::warn!(error, consumer = %self.work.group, "the worker makes no progress; it tries again");
        self.last_error = Some(error.into());
        self.changed = true;
    }

    fn receive(&mut self, deliveries: Vec<Delivery>) {
        let mut unregistered = 0;
        // Most deliveries are of the partition of the one before.
        let mut latest: Option<(Partition, Option<Slot>)> = None;
        for delivery in deliveries {
            let partition = &delivery.position.partition;
            let slot = match &latest {
                Some((of, slot)) if of == partition => *slot,
                _ => {
                    let slot = self.holdings.slot_of(partition);
                    latest = Some((partition.clone(), slot));
                    slot
                }
            };
            let Some(slot) = slot else {
                continue; // lost in the meantime
            };
            let Some(holding) = self.holdings.get_mut(slot) else {
                continue;
            };
            let offset = delivery.position.offset;
            // The next owner of a revoked partition starts its new messages.
            if holding.abandon_at.is_some() || !holding.window.receive(offset, size(&delivery)) {
                continue;
            }
            let delivery = Arc::new(delivery);
            let key = match &delivery.content {
                Content::Message(message)
                    if !self.work.handlers.takes(message)
                        && self.unknown_kinds.skip(
                            &message.kind,
                            &self.work.settings.kinds,
                            &self.work.group,
                        ) =>
                {
                    unregistered += 1;
                    holding.window.finish(offset);
                    self.offsets.due = true;
                    continue;
                }
                Content::Message(message) => {
                    message.key.clone().map(|key| Arc::<str>::from(key).into())
                }
                Content::Raw(raw) => raw.key.as_deref().map(Into::into),
            };
            self.lanes
                .push(slot, key, Item::new(offset, Arc::clone(&delivery)));
        }
        self.work.meters.unregistered.increment(unregistered);
        self.recovered();
        self.changed = true;
    }

    /// Starts as many transactions as may run.
    pub(super) fn start(&mut self, now: Monotonic) {
        let outage = self.outage.map_or(now, |(when, _)| when);
        // The interval does not delay what is tried again.
        let retry = self.lanes.next_wake().unwrap_or(self.next_start);
        let start = outage.max(self.next_start.min(retry));
        if self.closing.is_some() || !start.has_passed_at(now) {
            return;
        }
        while self.flights.len() < self.work.settings.concurrency {
            let portions = self.lanes.take(self.work.limit(), now);
            let Some(first) = portions.first().and_then(|portion| portion.items.front()) else {
                return;
            };
            // A start that a retry caused goes on until nothing is ready.
            self.next_start = if self.lanes.is_any_ready() {
                now
            } else {
                now + self.work.settings.transaction_interval
            };
            let work = Arc::clone(&self.work);
            if let Some(failure) = first.failure.clone() {
                let delivery = Arc::clone(&first.delivery);
                self.flights.start(portions, async move {
                    let policy = &work.settings.failure_policy;
                    let outcome = policy.on_failure(&work.group, &delivery, &failure).await;
                    Landing::FailurePolicy(outcome, failure)
                });
                continue;
            }
            let count = portions.iter().map(|portion| portion.items.len()).sum();
            let mut batch = Vec::with_capacity(count);
            for portion in &portions {
                batch.extend(portion.items.iter().map(|item| Member {
                    lane: portion.lane,
                    delivery: Arc::clone(&item.delivery),
                    has_failed: item.attempts > 0,
                }));
            }
            #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
            self.work.meters.batch.record(batch.len() as f64);
            self.flights.start(portions, async move {
                let started = work.settings.clock.monotonic();
                let attempt = work.attempt(batch).await;
                let took = work.settings.clock.monotonic() - started;
                work.meters.transaction.record(took);
                Landing::Attempt(attempt)
            });
        }
    }

    /// Starts nothing new in revoked partitions.
    fn wind_down(&mut self, partitions: &[Partition], deadline: Duration) {
        // The last tenth is for committing offsets and releasing the partition.
        let abandon_at = self.now() + deadline.mul_f64(0.9);
        for partition in partitions {
            if let Some(slot) = self.holdings.slot_of(partition)
                && let Some(holding) = self.holdings.get_mut(slot)
            {
                holding.abandon_at = Some(abandon_at);
                self.lanes.forget(slot);
            }
        }
        self.changed = true;
    }
}

/// The bytes of a record.
fn size(delivery: &Delivery) -> usize {
    match &delivery.content {
        Content::Message(message) => message.size(),
        Content::Raw(raw) => {
            let bytes = |bytes: &Option<_>| bytes.as_ref().map_or(0, bytes::Bytes::len);
            let headers = raw
                .headers
                .iter()
                .map(|(name, value)| name.len() + value.len());
            bytes(&raw.key) + bytes(&raw.payload) + headers.sum::<usize>()
        }
    }
}
