//! A round in flight: its messages are published, its outcome is recorded, and the next rows are read.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use mainstay_clock::{Clock as _, Monotonic};
use mainstay_messaging::Publisher;
use tokio::sync::oneshot;

use crate::{
    Error,
    relay::Relay,
    round::{Round, Verdict, with_causes},
    store::{Fetched, Outcome, RelayStore, Row, RowRef, ShardLease},
};

/// What a round in flight works with.
pub(super) struct InFlight<'a, S, P> {
    relay: &'a Relay<S, P>,
    leases: &'a [ShardLease],
    lease_ends: Monotonic,
}

/// What was read while a round was in flight. Reading changes nothing, so it may be dropped.
pub(super) struct Ahead {
    pub(super) read: Result<Fetched, Error>,
    pub(super) at: Monotonic,
}

/// A round that was published and recorded.
pub(super) struct Settled {
    pub(super) acknowledged: usize,
    /// Whether no row of it stays or moves.
    pub(super) all_acknowledged: bool,
    /// Time until the first refused message is tried again.
    pub(super) next_retry: Option<Duration>,
    /// Why a message was neither acknowledged nor refused, if there is one.
    pub(super) unknown: Option<String>,
}

impl<'a, S: RelayStore, P: Publisher> InFlight<'a, S, P> {
    pub(super) const fn new(
        relay: &'a Relay<S, P>,
        leases: &'a [ShardLease],
        lease_ends: Monotonic,
    ) -> Self {
        Self {
            relay,
            leases,
            lease_ends,
        }
    }

    /// Reads what comes after the rows in flight.
    pub(super) async fn read_ahead(&self, in_flight: &[RowRef]) -> Ahead {
        let settings = &self.relay.settings;
        let at = settings.clock.monotonic();
        let store = &self.relay.store;
        Ahead {
            read: store.fetch(self.leases, settings.limit, in_flight).await,
            at,
        }
    }

    /// Publishes rows and records the outcome. In between it sends whether all were acknowledged.
    pub(super) async fn publish(
        &self,
        rows: Vec<Row>,
        published: oneshot::Sender<bool>,
    ) -> Result<Settled, Error> {
        let settings = &self.relay.settings;
        let retry_after =
            |attempts: u32| settings.refusal_backoff.delay(attempts - 1, &settings.ids);
        let count = rows.len();
        let round = Round::new(rows, &retry_after);
        let left = self.lease_ends.remaining_at(settings.clock.monotonic());
        // A publish call that outlives the lease could overtake those of the next owner.
        let deadline = settings.publish_timeout.min(left);
        let answers = if round.messages.is_empty() {
            Ok(Vec::new())
        } else {
            let publishing = self.relay.publisher.publish(&round.messages);
            tokio::time::timeout(deadline, publishing).await
        };
        let (outcome, acknowledged, unknown) = if let Ok(answers) = answers {
            let verdict = round.judge(answers, &retry_after);
            let Verdict { unknown, .. } = verdict;
            let unknown = unknown.map(|error| with_causes(&error));
            (verdict.outcome, verdict.acknowledged, unknown)
        } else {
            let reason = format!("the broker did not answer within {deadline:?}");
            (round.unanswered(), 0, Some(reason))
        };
        // Without a reader there is nothing to be told.
        let _unread = published.send(acknowledged == count);
        show(&outcome);
        if !outcome.is_empty() {
            self.record(&outcome).await?;
        }
        self.count(acknowledged);
        let retries = outcome.refused.iter().map(|refusal| refusal.retry_after);
        Ok(Settled {
            acknowledged,
            all_acknowledged: acknowledged == count,
            next_retry: retries.min(),
            unknown,
        })
    }

    /// Records a round and retries as long as the lease lasts: without a record, its messages are
    /// published again.
    async fn record(&self, outcome: &Outcome) -> Result<(), Error> {
        let settings = &self.relay.settings;
        let mut attempt = 0;
        loop {
            match self.relay.store.record(self.leases, outcome).await {
                Err(error) if error.is_retryable() && !matches!(error, Error::Fenced) => {
                    let delay = settings.backoff.delay(attempt, &settings.ids);
                    if self.lease_ends.remaining_at(settings.clock.monotonic()) <= delay {
                        return Err(error);
                    }
                    tracing::warn!(
                        error = %with_causes(&error),
                        "published messages could not be recorded; trying again"
                    );
                    tokio::time::sleep(delay).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn count(&self, acknowledged: usize) {
        let published = u64::try_from(acknowledged).unwrap_or(u64::MAX);
        metrics::counter!("mainstay_outbox_published").increment(published);
        self.relay
            .shared
            .with_status(|status| status.published += published);
    }
}

/// What came of a round, and what was read meanwhile. Waits for a read that takes longer than the
/// round only if it can be used; `None`: the shutdown came meanwhile.
pub(super) async fn together<F: Future<Output = ()>>(
    reading: impl Future<Output = Option<Ahead>>,
    publishing: impl Future<Output = Result<Settled, Error>>,
    shutdown: Pin<&mut F>,
) -> Result<Option<(Settled, Option<Ahead>)>, Error> {
    let (mut reading, mut publishing) = (pin!(reading), pin!(publishing));
    // Biased, because a run of a simulation must follow from its seed. The statement is on its way
    // before the messages take the thread.
    let settled = tokio::select! {
        biased;
        ahead = &mut reading => return Ok(Some((publishing.await?, ahead))),
        settled = &mut publishing => settled?,
    };
    if !settled.all_acknowledged {
        return Ok(Some((settled, None)));
    }
    tokio::select! {
        biased;
        ahead = reading => Ok(Some((settled, ahead))),
        () = shutdown => Ok(None),
    }
}

fn show(outcome: &Outcome) {
    for refusal in &outcome.refused {
        metrics::counter!("mainstay_outbox_refused").increment(1);
        tracing::error!(
            row = ?refusal.row_ref,
            attempts = refusal.attempts,
            reason = refusal.reason,
            retry_after = ?refusal.retry_after,
            "a message was refused and blocks its key until the broker accepts it"
        );
    }
}
