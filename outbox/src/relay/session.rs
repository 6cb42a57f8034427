//! One run of a relay: renew the lease, look for rows, publish them and record the outcome while the
//! next ones are read, wait.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use mainstay_clock::{Clock as _, Monotonic};
use mainstay_messaging::Publisher;
use tokio::sync::oneshot;

use crate::{
    Activity, Error,
    notifier::EarlyPolls,
    relay::{
        Relay,
        in_flight::{Ahead, InFlight, together},
    },
    round::with_causes,
    store::{Content, Fetched, RelayStore, RowRef, ShardLease},
};

pub(super) struct Session<'a, S, P> {
    relay: &'a Relay<S, P>,
    owner: String,
    leases: Vec<ShardLease>,
    /// When the lease ends and when to renew it; none if there is no lease.
    lease: Option<(Monotonic, Monotonic)>,
    early: EarlyPolls,
    /// What the next round begins with.
    ahead: Option<Ahead>,
    /// When the next round may start; none = at once.
    not_before: Option<Monotonic>,
    /// Number of failed rounds in a row.
    failures: u32,
}

/// What to do after a round.
enum Next {
    /// Look again at once.
    Look,
    /// Wait this long, or until notified.
    Idle(Duration),
    /// Broker or database do not answer: wait this long, even if notified.
    Pause(Duration),
    /// The shutdown came while the round waited.
    End,
}

impl<'a, S: RelayStore, P: Publisher> Session<'a, S, P> {
    pub(super) fn new(relay: &'a Relay<S, P>) -> Self {
        Self {
            owner: relay.settings.ids.uuid().to_string(),
            relay,
            leases: Vec::new(),
            lease: None,
            early: EarlyPolls::new(),
            ahead: None,
            not_before: None,
            failures: 0,
        }
    }

    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let mut shutdown = pin!(shutdown);
        let mut next = Next::Look;
        let result = loop {
            // Biased, because a run of a simulation must follow from its seed.
            tokio::select! {
                biased;
                () = &mut shutdown => break Ok(()),
                () = self.wait(&next) => {}
            }
            next = match self.round(shutdown.as_mut()).await {
                Ok(Next::End) => break Ok(()),
                Ok(next) => next,
                Err(error) if error.is_retryable() => self.failed(&error),
                Err(error) => break Err(error),
            };
        };
        if let Err(error) = self.relay.store.release(&self.owner).await {
            tracing::warn!(
                error = %with_causes(&error),
                "the relay could not give up its shards; others take over when its lease ends"
            );
        }
        result
    }

    async fn wait(&mut self, next: &Next) {
        match *next {
            Next::Look | Next::End => {}
            Next::Pause(pause) => tokio::time::sleep(pause).await,
            Next::Idle(longest) => match self.relay.store.notifier() {
                Some(notifier) => self.early.wait(notifier, longest).await,
                None => tokio::time::sleep(longest).await,
            },
        }
        if let Some(start) = self.not_before {
            let now = self.relay.settings.clock.monotonic();
            tokio::time::sleep(start.remaining_at(now)).await;
        }
    }

    async fn round<F: Future<Output = ()>>(
        &mut self,
        shutdown: Pin<&mut F>,
    ) -> Result<Next, Error> {
        let settings = &self.relay.settings;
        let started = settings.clock.monotonic();
        self.not_before = None;
        let lease_ends = self.renew().await?;
        if self.leases.is_empty() {
            self.succeeded(Activity::Standby);
            return Ok(Next::Idle(self.until_renewal()));
        }
        let fetched = self.look().await?;
        if fetched.rows.is_empty() {
            self.looked(&fetched, Duration::ZERO);
            self.succeeded(Activity::Publishing);
            let due = fetched.next_due.unwrap_or(Duration::MAX);
            return Ok(Next::Idle(
                settings.poll_interval.min(due).min(self.until_renewal()),
            ));
        }
        self.early.found();
        // Keys that are due share the limit, so a round that is not full may have left rows of them out.
        let has_retries =
            (fetched.rows.iter()).any(|row| matches!(row.row_ref, RowRef::Blocked(_)));
        if !fetched.more && !has_retries && !settings.round_interval.is_zero() {
            let interval = settings.round_interval.min(settings.lease / 3);
            // What is tried again is not delayed.
            let interval = fetched.next_due.map_or(interval, |due| interval.min(due));
            self.not_before = Some(started + interval);
        }
        let oldest = self.age_of_oldest(&fetched);
        self.looked(&fetched, oldest);
        self.publish(fetched, lease_ends, shutdown).await
    }

    /// Renews the lease when it is time and returns when it ends.
    async fn renew(&mut self) -> Result<Monotonic, Error> {
        let settings = &self.relay.settings;
        let now = settings.clock.monotonic();
        if let Some((ends, renewal)) = self.lease
            && !renewal.has_passed_at(now)
        {
            return Ok(ends);
        }
        self.lease = None;
        let leases = self.relay.store.lease(&self.owner, settings.lease).await?;
        if leases != self.leases {
            // It may hold rows of a shard that is another relay's now.
            self.ahead = None;
        }
        self.leases = leases;
        // Measured from before the request, so that it ends here before it ends in the store.
        let ends = now + settings.lease;
        self.lease = Some((ends, now + settings.lease / 3));
        self.relay
            .shared
            .with_status(|status| status.shards = self.leases.len());
        Ok(ends)
    }

    fn until_renewal(&self) -> Duration {
        let now = self.relay.settings.clock.monotonic();
        self.lease
            .map_or(Duration::ZERO, |(_, renewal)| renewal.remaining_at(now))
    }

    /// What was read while the round before was in flight, or what a look finds now.
    async fn look(&mut self) -> Result<Fetched, Error> {
        let settings = &self.relay.settings;
        let Some(Ahead { read, at }) = self.ahead.take() else {
            if let Some(notifier) = self.relay.store.notifier() {
                self.early.before_looking(notifier);
            }
            let store = &self.relay.store;
            return store.fetch(&self.leases, settings.limit, &[]).await;
        };
        let mut fetched = read?;
        let passed = settings.clock.monotonic() - at;
        fetched.next_due = fetched.next_due.map(|due| due.saturating_sub(passed));
        Ok(fetched)
    }

    /// Publishes a round and records it, and reads the next rows meanwhile. Returns a pause if the
    /// broker does not answer.
    async fn publish<F: Future<Output = ()>>(
        &mut self,
        fetched: Fetched,
        lease_ends: Monotonic,
        shutdown: Pin<&mut F>,
    ) -> Result<Next, Error> {
        let in_flight = InFlight::new(self.relay, &self.leases, lease_ends);
        // An interval would make what is read now out of date.
        let rows = log_rows(&fetched).filter(|_| self.not_before.is_none());
        let (early, more) = (&mut self.early, fetched.more);
        // Of keys that were blocked, a round that is not full may have left rows out.
        let may_rest = !more && log_rows(&fetched).is_some();
        let due = fetched.next_due.unwrap_or(Duration::MAX);
        let (published, acknowledged) = oneshot::channel();
        let reading = async {
            let rows = rows?;
            // While rows are left, the next ones are there. Otherwise they may still come.
            let notifier = self.relay.store.notifier();
            let is_time = more
                || acknowledged.await == Ok(true)
                    && notifier.is_none_or(|notifier| early.looks_on(notifier));
            if !is_time {
                return None;
            }
            if let Some(notifier) = notifier {
                early.before_looking(notifier);
            }
            Some(in_flight.read_ahead(&rows).await)
        };
        let publishing = in_flight.publish(fetched.rows, published);
        let Some((settled, ahead)) = together(reading, publishing, shutdown).await? else {
            return Ok(Next::End);
        };
        // Behind rows that stay, the next ones of their keys must stay, too.
        self.ahead = ahead.filter(|_| settled.all_acknowledged);
        if let Some(retry) = settled.next_retry {
            let due = self.relay.settings.clock.monotonic() + retry;
            self.not_before = self.not_before.map(|start| start.min(due));
        }
        let Some(reason) = settled.unknown else {
            self.succeeded(Activity::Publishing);
            let rests = may_rest && settled.all_acknowledged && self.ahead.is_none();
            return Ok(match self.relay.store.notifier() {
                Some(notifier) if rests && !self.early.looks_on(notifier) => {
                    let rest = EarlyPolls::REST.min(self.relay.settings.poll_interval);
                    Next::Idle(rest.min(due).min(self.until_renewal()))
                }
                _ => Next::Look,
            });
        };
        if settled.acknowledged > 0 {
            self.failures = 0;
        }
        tracing::warn!(
            reason,
            "the broker did not acknowledge every message; the rest stay in the outbox and are retried"
        );
        Ok(Next::Pause(self.back_off(reason)))
    }

    fn failed(&mut self, error: &Error) -> Next {
        // Whatever failed, ask again which shards this relay owns.
        self.lease = None;
        self.leases.clear();
        self.ahead = None;
        let reason = with_causes(error);
        tracing::warn!(reason, "the relay cannot use the outbox; trying again");
        Next::Pause(self.back_off(reason))
    }

    fn back_off(&mut self, reason: String) -> Duration {
        let settings = &self.relay.settings;
        self.not_before = None;
        let pause = settings.backoff.delay(self.failures, &settings.ids);
        self.failures = self.failures.saturating_add(1);
        self.relay.shared.with_status(|status| {
            status.activity = Activity::Waiting;
            status.last_error = Some(reason);
        });
        pause
    }

    fn succeeded(&mut self, activity: Activity) {
        self.failures = 0;
        self.relay.shared.with_status(|status| {
            status.activity = activity;
            status.last_error = None;
        });
    }

    fn looked(&self, fetched: &Fetched, oldest: Duration) {
        metrics::gauge!("mainstay_outbox_oldest_unpublished_seconds").set(oldest.as_secs_f64());
        self.relay.shared.with_status(|status| {
            status.blocked_keys = fetched.blocked_keys;
            status.oldest_unpublished = oldest;
        });
    }

    fn age_of_oldest(&self, fetched: &Fetched) -> Duration {
        let now = self.relay.settings.clock.now();
        fetched
            .rows
            .iter()
            .filter_map(|row| match &row.content {
                Content::Message(message) => now.duration_since(message.occurred_at?).ok(),
                Content::Unreadable(_) => None,
            })
            .max()
            .unwrap_or_default()
    }
}

/// The rows of a round that takes none but those of the log whose keys are not blocked: the only ones
/// that the next read can leave out.
fn log_rows(fetched: &Fetched) -> Option<Vec<RowRef>> {
    let rows = fetched.rows.iter();
    rows.map(|row| match row.row_ref {
        RowRef::Log(_) if !row.blocked => Some(row.row_ref),
        _ => None,
    })
    .collect()
}
