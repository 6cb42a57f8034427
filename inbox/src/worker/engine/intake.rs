//! What the broker tells, and what is started.

use std::{sync::Arc, time::Duration};

use mainstay_clock::Monotonic;
use mainstay_database::Transactions;
use mainstay_messaging::{Content, Delivery, Flow, Incoming, Partition};

use super::{
    super::{
        item::Item,
        pump::{Command, Event},
        telemetry::chain,
        work::Member,
    },
    Closing, Engine,
    flights::Landing,
};
use crate::{Error, Inbox, MarkRetention};

impl<T, I> Engine<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + MarkRetention + ?Sized,
{
    pub(super) fn take_in(&mut self, event: Event) {
        match event {
            Event::Incoming(Incoming::Deliveries(deliveries)) => self.receive(deliveries),
            Event::Incoming(Incoming::Assigned(assigned)) => {
                // A pause that was meant for an earlier assignment may still be on its way, and would meet this one.
                let flowing = assigned.iter().map(|a| a.partition.clone()).collect();
                self.command(Command::Flow(flowing, Flow::Running));
                for assignment in assigned {
                    if let Some(earlier) = self.holdings.assign(assignment) {
                        self.lanes.forget(earlier);
                    }
                }
                self.progress.send_replace(self.holdings.progress());
                self.changed = true;
            }
            Event::Incoming(Incoming::Revoked {
                partitions,
                deadline,
            }) => self.wind_down(&partitions, deadline),
            // Of those that were given back there are some left if they were assigned anew while the order was on its way.
            Event::Incoming(Incoming::Lost(partitions)) | Event::Released(partitions) => {
                self.let_go(&partitions);
            }
            Event::Incoming(Incoming::Answering) => self.answered(),
            Event::Committed(positions) => self.saved(&positions),
            Event::NotCommitted(error) => self.not_saved(&error),
            Event::Impeded(error) => self.impeded(&error),
            Event::Ended(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, consumer = %self.work.group, "the broker ended this consumer");
                self.ended = Some(Error::Broker(error));
                self.closing = Some(Closing::Draining(self.now() + self.work.settings.drain));
            }
        }
    }

    /// What is in flight goes on: if it commits late, it is a duplicate of what the new holder does, or it is first, and the
    /// new holder's is the duplicate.
    fn let_go(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some((slot, _)) = self.holdings.remove(partition) {
                self.lanes.forget(slot);
            }
        }
        self.progress.send_replace(self.holdings.progress());
        self.changed = true;
    }

    /// The broker has answered: unless it is the database, nothing stands in the way any more.
    pub(super) fn answered(&mut self) {
        if self.gate.is_none() && self.impeded_by.take().is_some() {
            self.changed = true;
        }
    }

    pub(super) fn impeded(&mut self, error: &(dyn std::error::Error + 'static)) {
        let error = chain(error);
        tracing::warn!(error, consumer = %self.work.group, "the worker is impeded");
        self.impeded_by = Some(error.into());
        self.changed = true;
    }

    fn receive(&mut self, deliveries: Vec<Delivery>) {
        let mut unregistered = 0;
        for delivery in deliveries {
            let Some(slot) = self.holdings.slot_of(&delivery.position.partition) else {
                continue; // lost in the meantime
            };
            let Some(holding) = self.holdings.get_mut(slot) else {
                continue;
            };
            let offset = delivery.position.offset;
            // A partition that is being given back starts nothing new: its next holder does.
            if holding.abandon_at.is_some() || !holding.span.receive(offset, size(&delivery)) {
                continue;
            }
            let delivery = Arc::new(delivery);
            let key = match &delivery.content {
                Content::Message(message) if self.work.handlers.of(message).is_none() => {
                    // Else the next new event of a producer would stop everyone.
                    unregistered += 1;
                    holding.span.finish(offset);
                    self.saves.due = true;
                    continue;
                }
                Content::Message(message) => {
                    message.key.as_ref().map(|key| key.as_str().as_bytes())
                }
                Content::Raw(raw) => raw.key.as_deref(),
            };
            self.lanes
                .push(slot, key, Item::new(offset, Arc::clone(&delivery)));
        }
        self.work.meters.unregistered.increment(unregistered);
        self.answered();
        self.changed = true;
    }

    /// Starts as many transactions as may run.
    pub(super) fn start(&mut self, now: Monotonic) {
        if self.closing.is_some() || self.gate.is_some_and(|(when, _)| !when.has_passed_at(now)) {
            return;
        }
        while self.flights.len() < self.work.settings.concurrency {
            let portions = self.lanes.take(self.work.settings.batch, now);
            let Some(first) = portions.first().and_then(|portion| portion.items.first()) else {
                return;
            };
            let work = Arc::clone(&self.work);
            if let Some(failure) = first.failure.clone() {
                let delivery = Arc::clone(&first.delivery);
                self.flights.start(portions, async move {
                    let parking = &work.settings.parking;
                    let parked = parking.park(&work.group, &delivery, &failure).await;
                    Landing::Parking(parked, failure)
                });
                continue;
            }
            let batch: Vec<Member> = portions
                .iter()
                .flat_map(|portion| {
                    let member =
                        |item: &Item<Arc<Delivery>>| (portion.lane, Arc::clone(&item.delivery));
                    portion.items.iter().map(member)
                })
                .collect();
            #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
            self.work.meters.batch.record(batch.len() as f64);
            self.flights.start(portions, async move {
                let started = work.settings.clock.monotonic();
                let outcome = work.attempt(&batch).await;
                let took = work.settings.clock.monotonic() - started;
                work.meters.transaction.record(took);
                Landing::Attempt(outcome)
            });
        }
    }

    /// A partition is asked back: nothing new starts there.
    fn wind_down(&mut self, partitions: &[Partition], deadline: Duration) {
        // A tenth is left for committing offsets and giving the partition back.
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

/// Bytes that a record takes.
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
