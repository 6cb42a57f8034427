//! Sends the notifications that are due. A due time is a row's, so it survives a crash.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use commerce_chassis::{Connection, Db, LedRound, Progress, Result, ServiceBuilder, Term};
use commerce_contracts::Channel;
use mainstay_clock::{Backoff, Clock, IdGenerator};
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;

use crate::{
    sink::{Delivery, Sinks, Undelivered},
    store::deliveries::{self, Due},
};

/// Notifications in one round at most.
const SENT_TOGETHER: i64 = 200;

/// The round that sends.
#[derive(Debug)]
pub(crate) struct Sender {
    db: Db,
    sinks: Sinks,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    backoff: Backoff,
}

/// A notification with the answer of its sink.
type Outcome = (Due, std::result::Result<(), Undelivered>);

impl Sender {
    pub(crate) fn new(builder: &ServiceBuilder, sinks: Sinks) -> Self {
        Self {
            db: builder.db().clone(),
            sinks,
            clock: Arc::clone(builder.clock()),
            ids: Arc::clone(builder.ids()),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(5 * 60)),
        }
    }

    /// Hands over what is due at `now`. It writes nothing: after a kill, all of it is due again.
    pub(crate) async fn send(&self, now: i64) -> Result<Vec<Outcome>> {
        let due = deliveries::due(self.db.reader(), now, SENT_TOGETHER).await?;
        let mut outcomes = Vec::with_capacity(due.len());
        for channel in [Channel::Email, Channel::Sms] {
            let mine = due.iter().filter(|due| due.channel == channel);
            let mine: Vec<Due> = mine.cloned().collect();
            if mine.is_empty() {
                continue;
            }
            let calls = mine.iter().map(Delivery::of).collect();
            let answers = self.sinks.of(channel).call(calls).await;
            outcomes.extend(mine.into_iter().zip(answers));
        }
        Ok(outcomes)
    }

    /// Records the outcomes.
    pub(crate) async fn record(
        &self,
        tx: &mut Connection,
        outcomes: Vec<Outcome>,
        now: i64,
    ) -> Result<()> {
        let mut sent = Vec::with_capacity(outcomes.len());
        for (due, outcome) in outcomes {
            let Err(error) = outcome else {
                sent.push(due);
                continue;
            };
            tracing::warn!(%error, event_id = due.event_id, "a notification was not sent");
            let again_at = match error {
                Undelivered::Away(_) => Some(now.saturating_add(self.pause(&due))),
                Undelivered::Refused(_) => None,
            };
            deliveries::failed(tx, &due, again_at, &error.to_string()).await?;
        }
        deliveries::sent(tx, &sent, now).await
    }

    /// Microseconds until the next attempt.
    fn pause(&self, due: &Due) -> i64 {
        let failures = u32::try_from(due.attempts).unwrap_or(u32::MAX);
        let pause = self.backoff.delay(failures, &self.ids);
        i64::try_from(pause.as_micros()).unwrap_or(i64::MAX)
    }
}

#[async_trait]
impl LedRound for Sender {
    async fn round(&self, term: &Term) -> Result<Progress> {
        let next = deliveries::next_due(self.db.reader()).await?;
        let now = micros_since_epoch(self.clock.now());
        if next.is_none_or(|at| at > now) {
            return Ok(Progress::until(next, now));
        }
        let outcomes = self.send(now).await?;
        let mut tx = self.db.begin().await?;
        term.check(&mut tx).await?;
        self.record(&mut tx, outcomes, now).await?;
        self.db.commit(tx).await?;
        Ok(Progress::More)
    }
}
