//! What happens to messages after an attempt.

use std::sync::Arc;

use mainstay_database::ErrorKind;
use mainstay_messaging::{
    Key,
    broker::{Content, Delivery},
};

use super::{
    super::{
        item::{Hold, Item},
        lanes::Portion,
        outcome::{Done, Fault, Interruption, Outcome, Stage},
    },
    Engine,
    flights::{Flight, Landing},
};
use crate::{
    Error,
    error::chain,
    failure::{Failure, FailureOutcome},
    status::BlockedKey,
    store::WorkerStore,
};

type Portions = Vec<Portion<Arc<Delivery>>>;

impl<I: WorkerStore> Engine<I> {
    pub(super) fn judge(&mut self, flight: Flight, landing: Landing) {
        let portions = flight.portions;
        match landing {
            Landing::Attempt(Outcome::Done(done)) => self.done(&portions, done),
            Landing::Attempt(Outcome::Suspects(suspects)) => {
                self.give_back(portions, &suspects, |item| item.at_most = 1);
            }
            Landing::Attempt(Outcome::Failed(fault)) => self.failed(portions, &fault),
            Landing::Attempt(Outcome::Unclear { among, error }) => {
                tracing::debug!(
                    error = chain(&*error),
                    "a batch failed; the worker halves it to find the message that fails"
                );
                let half = among.len().div_ceil(2);
                self.give_back(portions, &among, |item| {
                    item.at_most = item.at_most.min(half);
                });
            }
            Landing::Attempt(Outcome::Interrupted(interruption)) => {
                self.interrupted(portions, &interruption);
            }
            Landing::FailurePolicy(outcome, failure) => self.decided(portions, outcome, &failure),
            Landing::Abandoned(error) if error.is_panic() => {
                // Panics of handlers are caught, so this is the store or the failure policy.
                tracing::error!(%error, consumer = %self.work.group, "the store or the failure policy panicked; the messages are tried again");
                let panicked = Interruption::new(Stage::Begin, Arc::new(error));
                self.interrupted(portions, &panicked);
            }
            Landing::Abandoned(error) => {
                tracing::debug!(%error, "a transaction was abandoned");
                self.give_back(portions, &[], |_| ());
            }
        }
    }

    fn done(&mut self, portions: &Portions, done: Done) {
        let mut messages = 0;
        for portion in portions {
            messages += portion.items.len() as u64;
            if let Some(holding) = self.holdings.get_mut(portion.slot) {
                for item in &portion.items {
                    holding.window.finish(item.offset);
                }
                self.offsets.due = true;
            }
            self.lanes.finish(portion.lane);
            if self.blocked.remove(&portion.lane).is_some() {
                tracing::info!(consumer = %self.work.group, "a blocked key goes on");
                self.changed = true;
            }
        }
        self.outage = None;
        if self.last_error.take().is_some() {
            self.changed = true;
        }
        let meters = &self.work.meters;
        meters.handled.increment(done.handled);
        meters.held.increment(done.held);
        meters.dead_lettered.increment(done.dead_lettered);
        let others = done.handled + done.held + done.dead_lettered;
        meters.duplicates.increment(messages.saturating_sub(others));
    }

    /// Returns all messages to the heads of their lanes, with `change` applied to those named.
    fn give_back(
        &mut self,
        mut portions: Portions,
        named: &[usize],
        mut change: impl FnMut(&mut Item<Arc<Delivery>>),
    ) {
        let items = portions.iter_mut().flat_map(|portion| &mut portion.items);
        for (index, item) in items.enumerate() {
            if named.contains(&index) {
                change(item);
            }
        }
        // Each goes to the front of the queue, the last one first, so that their order stays.
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
            if fault.cause.may_heal() && item.attempts < settings.max_attempts {
                let pause = settings.backoff.delay(item.attempts.saturating_sub(1), &settings.ids);
                item.hold = Hold::Until(now + pause);
                tracing::warn!(consumer = %group, %position, attempts = item.attempts, error, "a message failed; the worker tries it again");
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

    /// Nothing is wrong with the messages: the worker tries them again after a backoff, and counts
    /// no attempt.
    fn interrupted(&mut self, mut portions: Portions, interruption: &Interruption) {
        let now = self.now();
        let settings = self.work.settings.clone();
        let error = &*interruption.error;
        let fault = ErrorKind::of(error);
        self.work.meters.interrupted.increment(1);
        self.hindered(error);
        let size: usize = portions.iter().map(|portion| portion.items.len()).sum();
        let hold = |item: &mut Item<Arc<Delivery>>| {
            let pause = settings.backoff.delay(item.interruptions, &settings.ids);
            item.interruptions = item.interruptions.saturating_add(1);
            item.hold = Hold::Until(now + pause);
        };
        let at_most = match (&interruption.stage, fault) {
            // Another transaction holds a lock that these want: they wait, and the others need not.
            (Stage::Handling(among), Some(ErrorKind::Conflict)) => {
                let half = among.len().div_ceil(2);
                self.give_back(portions, among, |item| {
                    item.at_most = item.at_most.min(half);
                    hold(item);
                });
                return;
            }
            // Another transaction has admitted one of them, and the database does not say which:
            // run one by one, so that only that one waits again.
            (Stage::Admission, Some(ErrorKind::Conflict)) => 1,
            // No message has caused it.
            (Stage::Begin, _) => usize::MAX,
            // Smaller transactions conflict less and end sooner, so the next one may succeed.
            _ => size.div_ceil(2),
        };
        if fault == Some(ErrorKind::Unavailable) {
            // No other transaction would succeed either.
            let times = self.outage.map_or(0, |(_, times)| times);
            let pause = settings.backoff.delay(times, &settings.ids);
            self.outage = Some((now + pause, times.saturating_add(1)));
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

    /// The failure policy has answered.
    fn decided(
        &mut self,
        portions: Portions,
        outcome: Result<FailureOutcome, Error>,
        failure: &Failure,
    ) {
        let now = self.now();
        match outcome {
            Ok(FailureOutcome::DeadLettered) => {
                let done = Done {
                    dead_lettered: 1,
                    ..Done::default()
                };
                self.done(&portions, done);
            }
            Ok(FailureOutcome::KeyBlocked { retry_after }) => {
                self.block(&portions, failure);
                self.give_back(portions, &[0], |item| {
                    item.hold = retry_after.map_or(Hold::Forever, |after| Hold::Until(now + after));
                    item.failure = None;
                });
            }
            Err(error) => {
                let settings = self.work.settings.clone();
                self.hindered(&error);
                self.block(&portions, failure);
                self.give_back(portions, &[0], |item| {
                    item.hold = Hold::Until(
                        now + settings.backoff.delay(item.interruptions, &settings.ids),
                    );
                    item.interruptions = item.interruptions.saturating_add(1);
                });
            }
        }
    }

    fn block(&mut self, portions: &Portions, failure: &Failure) {
        let Some((portion, item)) = portions.first().and_then(|p| Some((p, p.items.first()?)))
        else {
            return;
        };
        let error = chain(&*failure.error);
        let position = item.delivery.position.clone();
        tracing::error!(
            consumer = %self.work.group, %position, attempts = failure.attempts, kind = %failure.kind, error,
            "a message cannot be handled: its key is blocked until the message succeeds"
        );
        let key = match &item.delivery.content {
            Content::Message(message) => message.key.clone(),
            Content::Raw(raw) => raw
                .key
                .as_deref()
                .and_then(|key| Key::new(std::str::from_utf8(key).ok()?).ok()),
        };
        let now = self.work.settings.clock.now();
        let since = self.blocked.get(&portion.lane).map_or(now, |key| key.since);
        self.blocked.insert(
            portion.lane,
            BlockedKey {
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
