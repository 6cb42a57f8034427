//! What becomes of messages after an attempt.

use std::sync::Arc;

use mainstay_database::Transactions;
use mainstay_messaging::{Content, Delivery, Key};

use super::{
    super::{
        item::{Hold, Item},
        lanes::Portion,
        outcome::{Fault, Interruption, Outcome, Stage},
        telemetry::chain,
    },
    Engine,
    flights::{Flight, Landing},
};
use crate::{Error, Failure, Inbox, MarkRetention, Parked, StoppedKey, handlers::database_error};

type Portions = Vec<Portion<Arc<Delivery>>>;

impl<T, I> Engine<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + MarkRetention + ?Sized,
{
    pub(super) fn judge(&mut self, flight: Flight, landing: Landing) {
        let portions = flight.portions;
        match landing {
            Landing::Attempt(Outcome::Done { handled }) => self.done(&portions, handled),
            Landing::Attempt(Outcome::Suspects(suspects)) => {
                self.give_back(portions, &suspects, |item| item.at_most = 1);
            }
            Landing::Attempt(Outcome::Failed(fault)) => self.failed(portions, &fault),
            Landing::Attempt(Outcome::Unclear { among, error }) => {
                tracing::debug!(
                    error = chain(&*error),
                    "a batch failed; it is halved to find the culprit"
                );
                let half = among.len().div_ceil(2);
                self.give_back(portions, &among, |item| {
                    item.at_most = item.at_most.min(half);
                });
            }
            Landing::Attempt(Outcome::Interrupted(interruption)) => {
                self.interrupted(portions, &interruption);
            }
            Landing::Parking(parked, failure) => self.parked(portions, parked, &failure),
            Landing::Abandoned(error) if error.is_panic() => {
                // No handler: those are caught. A store, or parking.
                tracing::error!(%error, consumer = %self.work.group, "a transaction panicked");
                let panicked = Interruption::new(Stage::Begin, Arc::new(error));
                self.interrupted(portions, &panicked);
            }
            Landing::Abandoned(error) => {
                tracing::debug!(%error, "a transaction was abandoned");
                self.give_back(portions, &[], |_| ());
            }
        }
    }

    fn done(&mut self, portions: &Portions, handled: usize) {
        let mut messages = 0;
        for portion in portions {
            messages += portion.items.len();
            if let Some(holding) = self.holdings.get_mut(portion.slot) {
                for item in &portion.items {
                    holding.span.finish(item.offset);
                }
                self.saves.due = true;
            }
            self.lanes.finish(portion.lane);
            if self.stopped.remove(&portion.lane).is_some() {
                tracing::info!(consumer = %self.work.group, "a stopped key goes on");
                self.changed = true;
            }
        }
        self.gate = None;
        if self.impeded_by.take().is_some() {
            self.changed = true;
        }
        self.work.meters.handled.increment(handled as u64);
        self.work
            .meters
            .duplicates
            .increment(messages.saturating_sub(handled) as u64);
    }

    /// Returns all messages to the heads of their lanes, with `mark` applied to those named.
    fn give_back(
        &mut self,
        mut portions: Portions,
        named: &[usize],
        mut mark: impl FnMut(&mut Item<Arc<Delivery>>),
    ) {
        let items = portions.iter_mut().flat_map(|portion| &mut portion.items);
        for (index, item) in items.enumerate() {
            if named.contains(&index) {
                mark(item);
            }
        }
        // Each goes to the front of the queue: the last one first, so that the order stays.
        for portion in portions.into_iter().rev() {
            self.lanes.give_back(portion);
        }
    }

    fn failed(&mut self, portions: Portions, fault: &Fault) {
        let now = self.now();
        let settings = self.work.settings.clone();
        let group = self.work.group.clone();
        self.work.meters.failed(fault.cause);
        self.give_back(portions, &[fault.culprit], |item| {
            item.at_most = 1;
            item.attempts += u32::from(fault.cause.is_attempt());
            item.interruptions = 0;
            let error = chain(&*fault.error);
            let position = &item.delivery.position;
            if fault.cause.may_heal() && item.attempts < settings.attempts {
                let pause = settings.backoff.delay(item.attempts.saturating_sub(1), &settings.ids);
                item.hold = Hold::Until(now + pause);
                tracing::warn!(consumer = %group, %position, attempts = item.attempts, error, "a message failed; it is tried again");
            } else {
                item.hold = Hold::None;
                item.failure = Some(Failure {
                    kind: fault.cause.final_kind(),
                    attempts: item.attempts,
                    error: Arc::clone(&fault.error),
                });
            }
        });
    }

    /// Nothing is wrong with the messages: they are tried again after a while, without counting.
    fn interrupted(&mut self, mut portions: Portions, interruption: &Interruption) {
        let now = self.now();
        let settings = self.work.settings.clone();
        let error = &*interruption.error;
        self.work.meters.interrupted.increment(1);
        self.impeded(error);
        let size: usize = portions.iter().map(|portion| portion.items.len()).sum();
        let hold = |item: &mut Item<Arc<Delivery>>| {
            let pause = settings.backoff.delay(item.interruptions, &settings.ids);
            item.interruptions = item.interruptions.saturating_add(1);
            item.hold = Hold::Until(now + pause);
        };
        let at_most = match (&interruption.stage, database_error(error)) {
            // Somebody holds what these want: they wait, and the others need not.
            (Stage::Handling(among), Some(mainstay_database::Error::Conflict(_))) => {
                let half = among.len().div_ceil(2);
                self.give_back(portions, among, |item| {
                    item.at_most = item.at_most.min(half);
                    hold(item);
                });
                return;
            }
            // Somebody holds the mark of one of them, nobody says which. One by one only that one waits again.
            (Stage::Admission, Some(mainstay_database::Error::Conflict(_))) => 1,
            // Nobody's doing.
            (Stage::Begin, _) => usize::MAX,
            // Smaller ones meet less and do not last as long: the next one may come through.
            _ => size.div_ceil(2),
        };
        if let Some(mainstay_database::Error::Unavailable(_)) = database_error(error) {
            // The others would fare no better.
            let times = self.gate.map_or(0, |(_, times)| times);
            let pause = settings.backoff.delay(times, &settings.ids);
            self.gate = Some((now + pause, times.saturating_add(1)));
        }
        for item in portions.iter_mut().flat_map(|portion| &mut portion.items) {
            item.at_most = item.at_most.min(at_most);
        }
        for portion in &mut portions {
            if let Some(head) = portion.items.first_mut() {
                hold(head);
            }
        }
        self.give_back(portions, &[], |_| ());
    }

    fn parked(&mut self, portions: Portions, parked: Result<Parked, Error>, failure: &Failure) {
        let now = self.now();
        match parked {
            Ok(Parked::Kept) => {
                self.work.meters.parked.increment(1);
                self.done(&portions, 0);
            }
            Ok(Parked::KeyStopped { retry_after }) => {
                self.stop(&portions, failure);
                self.give_back(portions, &[0], |item| {
                    item.hold = retry_after.map_or(Hold::Forever, |after| Hold::Until(now + after));
                    item.failure = None;
                });
            }
            Err(error) => {
                let settings = self.work.settings.clone();
                self.impeded(&error);
                self.stop(&portions, failure);
                self.give_back(portions, &[0], |item| {
                    item.hold = Hold::Until(
                        now + settings.backoff.delay(item.interruptions, &settings.ids),
                    );
                    item.interruptions = item.interruptions.saturating_add(1);
                });
            }
        }
    }

    fn stop(&mut self, portions: &Portions, failure: &Failure) {
        let Some((portion, item)) = portions.first().and_then(|p| Some((p, p.items.first()?)))
        else {
            return;
        };
        let error = chain(&*failure.error);
        let position = item.delivery.position.clone();
        tracing::error!(
            consumer = %self.work.group, %position, attempts = failure.attempts, kind = ?failure.kind, error,
            "a message cannot be handled: its key is stopped"
        );
        let key = match &item.delivery.content {
            Content::Message(message) => message.key.clone(),
            Content::Raw(raw) => raw
                .key
                .as_deref()
                .and_then(|key| Key::new(std::str::from_utf8(key).ok()?).ok()),
        };
        let now = self.work.settings.clock.now();
        let since = self.stopped.get(&portion.lane).map_or(now, |key| key.since);
        self.stopped.insert(
            portion.lane,
            StoppedKey {
                position,
                key,
                since,
                kind: failure.kind,
                attempts: failure.attempts,
                error: error.into(),
                waiting: 0,
            },
        );
        self.changed = true;
    }
}
