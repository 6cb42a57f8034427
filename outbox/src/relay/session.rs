//! One run of a relay: lease, look, send, record, wait.

use std::time::Duration;

use mainstay_clock::{Clock as _, Monotonic};
use mainstay_messaging::Publisher;
use tokio_util::sync::CancellationToken;

use crate::{
    Content, Error, Fetched, Hold, Outcome, RelayStore,
    doorbell::Ladder,
    relay::Relay,
    round::{Round, with_causes},
    status::Activity,
};

pub(super) struct Session<'a, S: ?Sized, P: ?Sized> {
    relay: &'a Relay<S, P>,
    owner: String,
    holds: Vec<Hold>,
    /// When the lease ends and when to renew it; none = no lease.
    lease: Option<(Monotonic, Monotonic)>,
    ladder: Ladder,
    /// Rounds in a row that went badly.
    failures: u32,
}

/// What to do after a round.
enum Next {
    /// There is more at once.
    Look,
    /// Nothing to do for this long, unless the bell rings.
    Idle(Duration),
    /// Something is away: wait this long whatever rings.
    Pause(Duration),
}

impl<'a, S: RelayStore + ?Sized, P: Publisher + ?Sized> Session<'a, S, P> {
    pub(super) fn new(relay: &'a Relay<S, P>) -> Self {
        Self {
            owner: relay.settings.ids.uuid().to_string(),
            relay,
            holds: Vec::new(),
            lease: None,
            ladder: Ladder::new(),
            failures: 0,
        }
    }

    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut result = Ok(());
        while !shutdown.is_cancelled() {
            let next = match self.round().await {
                Ok(next) => next,
                Err(error) if error.is_retryable() => self.trouble(&error),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            let waiting = async {
                match next {
                    Next::Look => {}
                    Next::Pause(pause) => tokio::time::sleep(pause).await,
                    Next::Idle(longest) => match self.relay.store.doorbell() {
                        Some(bell) => self.ladder.wait(bell, longest).await,
                        None => tokio::time::sleep(longest).await,
                    },
                }
            };
            // Biased, as a run that follows from its seed needs it; so are those of the ladder.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = waiting => {}
            }
        }
        if let Err(error) = self.relay.store.release(&self.owner).await {
            tracing::warn!(error = %with_causes(&error), "shards not given up: others wait for the lease to end");
        }
        self.relay.with_status(|status| {
            status.activity = Activity::Stopped;
            status.shards = 0;
        });
        result
    }

    async fn round(&mut self) -> Result<Next, Error> {
        let settings = &self.relay.settings;
        let lease_ends = self.renew().await?;
        if self.holds.is_empty() {
            self.well(Activity::Standby);
            return Ok(Next::Idle(self.until_renewal()));
        }
        if let Some(bell) = self.relay.store.doorbell() {
            self.ladder.before_looking(bell);
        }
        let fetched = self.relay.store.fetch(&self.holds, settings.limit).await?;
        if fetched.rows.is_empty() {
            self.looked(&fetched, Duration::ZERO);
            self.well(Activity::Publishing);
            let due = fetched.next_due.unwrap_or(Duration::MAX);
            return Ok(Next::Idle(
                settings.slow_poll.min(due).min(self.until_renewal()),
            ));
        }
        self.ladder.found();
        let oldest = self.age_of_oldest(&fetched);
        self.looked(&fetched, oldest);
        let pause = self.publish(fetched, lease_ends).await?;
        Ok(pause.map_or(Next::Look, Next::Pause))
    }

    /// Keeps the lease; answers with its end.
    async fn renew(&mut self) -> Result<Monotonic, Error> {
        let settings = &self.relay.settings;
        let now = settings.clock.monotonic();
        if let Some((ends, renewal)) = self.lease
            && !renewal.has_passed_at(now)
        {
            return Ok(ends);
        }
        self.lease = None;
        self.holds = self.relay.store.lease(&self.owner, settings.lease).await?;
        // Counted from before the request: this side's lease ends before the store's.
        let ends = now + settings.lease;
        self.lease = Some((ends, now + settings.lease / 3));
        self.relay
            .with_status(|status| status.shards = self.holds.len());
        Ok(ends)
    }

    fn until_renewal(&self) -> Duration {
        let now = self.relay.settings.clock.monotonic();
        self.lease
            .map_or(Duration::ZERO, |(_, renewal)| renewal.remaining_at(now))
    }

    /// Sends a round and records it; answers with a pause if the broker is away.
    async fn publish(
        &mut self,
        fetched: Fetched,
        lease_ends: Monotonic,
    ) -> Result<Option<Duration>, Error> {
        let settings = &self.relay.settings;
        let retry_after = |attempts: u32| settings.refusal.delay(attempts - 1, &settings.ids);
        let round = Round::new(fetched.rows, &retry_after);
        let left = lease_ends.remaining_at(settings.clock.monotonic());
        // A send that outlives its lease could overtake the successor's.
        let deadline = settings.send_timeout.min(left);
        let answers = if round.messages.is_empty() {
            Ok(Vec::new())
        } else {
            let sending = self.relay.publisher.publish(&round.messages);
            tokio::time::timeout(deadline, sending).await
        };
        let (outcome, acknowledged, unknown) = if let Ok(answers) = answers {
            let verdict = round.judge(answers, &retry_after);
            let unknown = verdict.unknown.map(|error| with_causes(&error));
            (verdict.outcome, verdict.acknowledged, unknown)
        } else {
            let reason = format!("the broker gave no answer within {deadline:?}");
            (round.unanswered(), 0, Some(reason))
        };
        for stop in &outcome.stopped {
            metrics::counter!("mainstay_outbox_refused").increment(1);
            tracing::error!(place = ?stop.place, attempts = stop.attempts, reason = stop.reason, "message refused: its key is stopped");
        }
        if !outcome.is_empty() {
            self.record(&outcome, lease_ends).await?;
        }
        let published = u64::try_from(acknowledged).unwrap_or(u64::MAX);
        metrics::counter!("mainstay_outbox_published").increment(published);
        self.relay
            .with_status(|status| status.published += published);
        let Some(reason) = unknown else {
            self.well(Activity::Publishing);
            return Ok(None);
        };
        if acknowledged > 0 {
            self.failures = 0;
        }
        tracing::warn!(
            reason,
            "the broker did not take every message; they stay in the outbox"
        );
        Ok(Some(self.wait_out(reason)))
    }

    /// Writes a round down, again and again as long as the lease lasts: what is not written is sent twice.
    async fn record(&self, outcome: &Outcome, lease_ends: Monotonic) -> Result<(), Error> {
        let settings = &self.relay.settings;
        let mut attempt = 0;
        loop {
            match self.relay.store.record(&self.holds, outcome).await {
                Err(error) if error.is_retryable() && !matches!(error, Error::Fenced) => {
                    let delay = settings.outage.delay(attempt, &settings.ids);
                    if lease_ends.remaining_at(settings.clock.monotonic()) <= delay {
                        return Err(error);
                    }
                    tracing::warn!(error = %with_causes(&error), "what was published is not recorded yet");
                    tokio::time::sleep(delay).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn trouble(&mut self, error: &Error) -> Next {
        // Whatever went wrong, ask anew which shards are whose.
        self.lease = None;
        self.holds.clear();
        let reason = with_causes(error);
        tracing::warn!(reason, "the outbox cannot be worked on; trying again");
        Next::Pause(self.wait_out(reason))
    }

    fn wait_out(&mut self, reason: String) -> Duration {
        let settings = &self.relay.settings;
        let pause = settings.outage.delay(self.failures, &settings.ids);
        self.failures = self.failures.saturating_add(1);
        self.relay.with_status(|status| {
            status.activity = Activity::Waiting;
            status.trouble = Some(reason);
        });
        pause
    }

    fn well(&mut self, activity: Activity) {
        self.failures = 0;
        self.relay.with_status(|status| {
            status.activity = activity;
            status.trouble = None;
        });
    }

    fn looked(&self, fetched: &Fetched, oldest: Duration) {
        metrics::gauge!("mainstay_outbox_oldest_unsent_seconds").set(oldest.as_secs_f64());
        self.relay.with_status(|status| {
            status.stopped_keys = fetched.stopped_keys;
            status.oldest_unsent = oldest;
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
