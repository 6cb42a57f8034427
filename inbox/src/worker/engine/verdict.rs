//! What happens to messages after an attempt.

use std::{collections::BTreeSet, sync::Arc};

use mainstay_database::ErrorKind;
use mainstay_messaging::{
    Key,
    broker::{Content, Delivery},
};

use super::{
    super::{
        item::{Hold, Item},
        lanes::Portion,
        outcome::{Attempt, Cause, Done, Ended, Fault, Interruption, Stage},
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
        let mut portions = flight.portions;
        match landing {
            Landing::Attempt(attempt) => self.attempted(&mut portions, attempt),
            Landing::FailurePolicy(outcome, failure) => {
                self.decided(&mut portions, outcome, &failure);
            }
            Landing::Abandoned(error) if error.is_panic() => {
                // Panics of handlers are caught, so this is the store or the failure policy.
                tracing::error!(%error, consumer = %self.work.group, "the store or the failure policy panicked; the messages are tried again");
                let panicked = Interruption::new(Stage::Begin, Arc::new(error));
                self.interrupted(&mut portions, &panicked);
            }
            Landing::Abandoned(error) => {
                tracing::debug!(%error, "a transaction was abandoned");
            }
        }
        if !portions.is_empty() {
            self.next_start = self.now(); // no more of them are waited for
        }
        // Messages that are not finished become the heads of their lanes again. Each lane goes to
        // the front of the queue, the last one first, so that their order stays.
        for portion in portions.into_iter().rev() {
            self.lanes.give_back(portion);
        }
    }

    fn attempted(&mut self, portions: &mut Portions, attempt: Attempt) {
        match &attempt.ended {
            Ended::Suspects(suspects) => for_each(portions, suspects, |item| item.at_most = 1),
            Ended::Failed(fault) => {
                self.failed(portions, fault);
                for_each(portions, &[fault.culprit], |item| item.at_most = 1);
            }
            Ended::Unclear { among, error } => {
                tracing::debug!(
                    error = chain(&**error),
                    "a batch failed; the worker halves it to find the message that fails"
                );
                let half = among.len().div_ceil(2);
                for_each(portions, among, |item| {
                    item.at_most = item.at_most.min(half);
                });
            }
            Ended::Interrupted(interruption) => self.interrupted(portions, interruption),
            Ended::Committed { .. } | Ended::RolledBack => {}
        }
        for fault in &attempt.faults {
            self.failed(portions, fault);
        }
        if let Ended::Committed { done, left } = attempt.ended {
            self.done(portions, done, &left);
        }
    }

    /// All messages but those `left` are finished: takes them out of the portions.
    fn done(&mut self, portions: &mut Portions, done: Done, left: &BTreeSet<usize>) {
        let (mut index, mut messages) = (0, 0);
        for portion in &mut *portions {
            let mut holding = self.holdings.get_mut(portion.slot);
            let before = portion.items.len();
            portion.items.retain(|item| {
                index += 1;
                let stays = left.contains(&(index - 1));
                if !stays && let Some(holding) = &mut holding {
                    holding.window.finish(item.offset);
                    self.offsets.due = true;
                }
                stays
            });
            let finished = before - portion.items.len();
            if finished == 0 {
                continue;
            }
            messages += finished as u64;
            if self.blocked.remove(&portion.lane).is_some() {
                tracing::info!(consumer = %self.work.group, "a blocked key goes on");
                self.changed = true;
            }
        }
        for portion in portions.extract_if(.., |portion| portion.items.is_empty()) {
            self.lanes.finish(portion.lane);
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

    fn failed(&self, portions: &mut Portions, fault: &Fault) {
        let now = self.now();
        let settings = &self.work.settings;
        let group = &self.work.group;
        self.work.meters.failed(fault.cause);
        for_each(portions, &[fault.culprit], |item| {
            item.attempts += u32::from(fault.cause.is_attempt());
            item.interruptions = 0;
            let error = chain(&*fault.error);
            let position = &item.delivery.position;
            if fault.cause.may_heal() && item.attempts < settings.max_attempts {
                let pause = settings
                    .backoff
                    .delay(item.attempts.saturating_sub(1), &settings.ids);
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
            // The policy is asked about one message at a time, and a handler that takes its time
            // must not hold the locks of others.
            if item.failure.is_some() || fault.cause == Cause::DeadlineExceeded {
                item.at_most = 1;
            }
        });
    }

    /// Nothing is wrong with the messages: the worker tries them again after a backoff, and counts
    /// no attempt.
    fn interrupted(&mut self, portions: &mut Portions, interruption: &Interruption) {
        let now = self.now();
        let work = Arc::clone(&self.work);
        let error = &*interruption.error;
        let fault = ErrorKind::of(error);
        work.meters.interrupted.increment(1);
        self.hindered(error);
        let size: usize = portions.iter().map(|portion| portion.items.len()).sum();
        let backoff = |times| work.settings.backoff.delay(times, &work.settings.ids);
        let hold = |item: &mut Item<Arc<Delivery>>| {
            item.hold = Hold::Until(now + backoff(item.interruptions));
            item.interruptions = item.interruptions.saturating_add(1);
        };
        let at_most = match (&interruption.stage, fault) {
            // Another transaction holds a lock that these want: they wait, and the others need not.
            (Stage::Handling(among), Some(ErrorKind::Conflict)) => {
                work.rolled_back(size);
                let half = among.len().div_ceil(2);
                for_each(portions, among, |item| {
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
            self.outage = Some((now + backoff(times), times.saturating_add(1)));
        }
        for portion in portions {
            for item in &mut portion.items {
                item.at_most = item.at_most.min(at_most);
            }
            if let Some(head) = portion.items.front_mut() {
                hold(head);
            }
        }
    }

    /// The failure policy has answered.
    fn decided(
        &mut self,
        portions: &mut Portions,
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
                self.done(portions, done, &BTreeSet::new());
            }
            Ok(FailureOutcome::KeyBlocked { retry_after }) => {
                self.block(portions, failure);
                for_each(portions, &[0], |item| {
                    item.hold = retry_after.map_or(Hold::Forever, |after| Hold::Until(now + after));
                    item.failure = None;
                });
            }
            Err(error) => {
                self.hindered(&error);
                self.block(portions, failure);
                let settings = &self.work.settings;
                for_each(portions, &[0], |item| {
                    let pause = settings.backoff.delay(item.interruptions, &settings.ids);
                    item.hold = Hold::Until(now + pause);
                    item.interruptions = item.interruptions.saturating_add(1);
                });
            }
        }
    }

    fn block(&mut self, portions: &Portions, failure: &Failure) {
        let Some((portion, item)) = portions.first().and_then(|p| Some((p, p.items.front()?)))
        else {
            return;
        };
        let error = chain(&*failure.error);
        let position = item.delivery.position.clone();
        let key = match &item.delivery.content {
            Content::Message(message) => message.key.clone(),
            Content::Raw(raw) => raw
                .key
                .as_deref()
                .and_then(|key| Key::new(std::str::from_utf8(key).ok()?).ok()),
        };
        tracing::error!(
            consumer = %self.work.group, %position, key = key.as_ref().map(Key::as_str),
            attempts = failure.attempts, kind = %failure.kind, error,
            "a message cannot be handled: its key is blocked until the message succeeds"
        );
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

/// Changes the items at these places of the batch.
fn for_each(
    portions: &mut Portions,
    places: &[usize],
    mut change: impl FnMut(&mut Item<Arc<Delivery>>),
) {
    let items = portions.iter_mut().flat_map(|portion| &mut portion.items);
    let mut items: Vec<_> = items.collect();
    for place in places {
        if let Some(item) = items.get_mut(*place) {
            change(item);
        }
    }
}
