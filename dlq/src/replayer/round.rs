//! One look at the tables, and what follows from it.

use std::{
    collections::BTreeSet,
    pin::{Pin, pin},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _};
use mainstay_database::Transactions as _;
use mainstay_inbox::{
    HandlerError,
    failure::{Failure, FailureKind},
    store::WorkerStore,
};
use mainstay_messaging::Delivery;
use metrics::{counter, gauge};
use tokio::time::Sleep;

use super::Replayer;
use crate::{
    Error,
    error::chain,
    letter::{BlockedKey, DeadLetterId},
    store::{Due, Fault, Head, QueueStore},
};

/// What one look takes at most.
const LOOK: u32 = 64;
/// Messages of one key before the others have their turn again.
const TURN: usize = 100;
/// Resolved messages that one transaction deletes.
const STEP: u32 = 500;
/// How often resolved messages that are past their retention are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);
/// Gauges count up to this.
const CAP: u32 = 10_000;

/// How one step ended.
enum Step {
    /// There may be more of this key.
    Went,
    /// There is nothing more to do here.
    Rests,
    /// The database or a dependency is away: nothing was counted.
    Interrupted(String),
}

/// How a handler's run ended that may be tried again.
enum Ran {
    Committed,
    Interrupted(String),
    Failed(Failure),
}

impl<I, S, T> Replayer<I, S, T>
where
    I: WorkerStore,
    S: QueueStore<Connection = I::Connection>,
    T: Clone + Send + Sync + 'static,
{
    pub(super) async fn turn(&self, shutdown: impl Future<Output = ()> + Send) {
        let shared = self.ending.shared();
        shared.update(|status| status.running = true);
        let mut shutdown = pin!(async {
            tokio::select! {
                biased;
                () = shared.shutdown.cancelled() => {}
                () = shutdown => shared.shutdown.cancel(),
            }
        });
        let mut prune_due = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            // Before the look: an act behind it wakes the next one.
            let notified = self.queue.notified();
            // Stopping waits for the messages that the round is at.
            let mut is_stopping = false;
            let went = {
                let mut round = pin!(self.round(prune_due.as_mut()));
                loop {
                    tokio::select! {
                        biased;
                        () = &mut shutdown, if !is_stopping => is_stopping = true,
                        went = &mut round => break went,
                    }
                }
            };
            let error = match &went {
                Ok((_, error)) => error.clone(),
                Err(error) => Some(chain(error)),
            };
            if let Some(error) = &error {
                tracing::warn!(error, consumer = %self.consumer, "the replayer is held up; it tries again");
            }
            shared.update(|status| status.last_error = error.as_deref().map(Into::into));
            if is_stopping {
                return;
            }
            if matches!(went, Ok((true, None))) {
                continue;
            }
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = notified => {}
                () = tokio::time::sleep(self.settings.poll_interval) => {}
            }
        }
    }

    /// Whether something went on, and what held it up.
    async fn round(&self, mut prune_due: Pin<&mut Sleep>) -> Result<(bool, Option<String>), Error> {
        let store = self.queue.store();
        let more_of_jobs = self.step_jobs().await?;
        let due: BTreeSet<Due> = store.due(&self.consumer, LOOK).await?.into_iter().collect();
        let steps: Vec<_> = due.iter().map(|due| self.go_on(due).boxed()).collect();
        let steps = futures_util::stream::iter(steps).buffer_unordered(self.settings.concurrency);
        let steps: Vec<_> = steps.collect().await;
        let (mut went, mut error) = (more_of_jobs, None);
        for step in steps {
            match step {
                Ok(Step::Interrupted(why)) => error = Some(why),
                Ok(Step::Went) => went = true,
                Ok(Step::Rests) => {}
                Err(why) => error = Some(chain(&why)),
            }
        }
        if !went {
            let is_prune_due = prune_due.as_mut().now_or_never().is_some();
            if is_prune_due && self.prune().await? < u64::from(STEP) {
                prune_due.set(tokio::time::sleep(PRUNE_INTERVAL));
            }
            self.update_totals().await?;
        }
        Ok((went, error))
    }

    /// A turn of one key.
    async fn go_on(&self, due: &Due) -> Result<Step, Error> {
        for _ in 0..TURN {
            if self.ending.shared().shutdown.is_cancelled() {
                return Ok(Step::Rests);
            }
            match self.advance(due).await? {
                Step::Went => {}
                other => return Ok(other),
            }
        }
        Ok(Step::Went)
    }

    /// One message in one transaction; or the hand-back, in its own: in that of a replay it could
    /// deadlock with a batch that waits for the message's record.
    async fn advance(&self, due: &Due) -> Result<Step, Error> {
        let mut attempts = 0;
        loop {
            let database = self.queue.database();
            let mut tx = database.begin().await?;
            let (id, delivery) = match self.queue.store().head(&mut tx, due).await? {
                Head::Ready(id, delivery) => (id, delivery),
                Head::NotDue => return Ok(Step::Rests),
                Head::Empty => {
                    drop(tx);
                    return match due {
                        Due::Key(key) => self.hand_back(key).await,
                        Due::Letter(_) => Ok(Step::Rests),
                    };
                }
            };
            match self.replay(tx, due, id, &delivery).await? {
                Ran::Committed => return Ok(Step::Went),
                Ran::Interrupted(why) => return Ok(Step::Interrupted(why)),
                Ran::Failed(failure) => {
                    attempts += 1;
                    let is_last = !failure.kind.may_heal()
                        || attempts >= self.settings.max_attempts
                        || self.ending.shared().shutdown.is_cancelled();
                    if is_last {
                        let failure = Failure::new(
                            failure.kind,
                            attempts,
                            Box::<dyn std::error::Error + Send + Sync>::from(chain(
                                &*failure.error,
                            )),
                        );
                        return self.failed(due, id, &delivery, &failure).await;
                    }
                    let ids = &*self.settings.ids;
                    let pause = self.settings.backoff.delay(attempts - 1, ids);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Handler and state in one transaction.
    async fn replay(
        &self,
        mut tx: <I::Database as mainstay_database::Transactions>::Transaction,
        due: &Due,
        id: DeadLetterId,
        delivery: &Delivery,
    ) -> Result<Ran, Error> {
        let database = self.queue.database();
        self.queue.store().replayed(&mut tx, due, id).await?;
        let deadline = self.settings.handler_deadline;
        let running = self.handlers.run(&mut tx, delivery);
        match tokio::time::timeout(deadline, running).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                drop(tx);
                return Ok(of_handler(&error));
            }
            Err(_) => {
                drop(tx);
                let error = format!("the handler took longer than {deadline:?}");
                return Ok(Ran::Failed(Failure::new(
                    FailureKind::DeadlineExceeded,
                    1,
                    error,
                )));
            }
        }
        match database.commit(tx).await {
            Ok(()) => {
                self.ending.shared().update(|status| status.replayed += 1);
                self.count("replayed");
                tracing::info!(%id, position = %delivery.position, consumer = %self.consumer, "a message was replayed");
                Ok(Ran::Committed)
            }
            Err(error) if error.is_retryable() => Ok(Ran::Interrupted(chain(&error))),
            // A check that the database makes only at commit, or an error that the handler did not
            // return.
            Err(error) => Ok(Ran::Failed(Failure::new(FailureKind::Exhausted, 1, error))),
        }
    }

    async fn failed(
        &self,
        due: &Due,
        id: DeadLetterId,
        delivery: &Delivery,
        failure: &Failure,
    ) -> Result<Step, Error> {
        let fault = Fault::of(&self.consumer, delivery, failure, self.queue.delays());
        let database = self.queue.database();
        let mut tx = database.begin().await?;
        let store = self.queue.store();
        if store.block_again(&mut tx, due, id, &fault).await? {
            database.commit(tx).await?;
            self.ending.shared().update(|status| status.failed += 1);
            self.count("failed");
            let (kind, error) = (fault.kind, &fault.error);
            tracing::error!(%id, position = %delivery.position, consumer = %self.consumer, kind, error, "a replayed message failed: it is the dead letter of its key");
        }
        Ok(Step::Rests)
    }

    async fn hand_back(&self, key: &BlockedKey) -> Result<Step, Error> {
        let database = self.queue.database();
        let mut tx = database.begin().await?;
        let is_free = self.queue.store().hand_back(&mut tx, key).await?;
        database.commit(tx).await?;
        if is_free {
            tracing::info!(%key, "a blocked key goes on");
        }
        // Otherwise a message came in between: the next look finds it.
        Ok(Step::Rests)
    }

    /// Deletes messages past their retention, `STEP` at most.
    async fn prune(&self) -> Result<u64, Error> {
        let (database, store) = (self.queue.database(), self.queue.store());
        let mut tx = database.begin().await?;
        let retention = self.settings.retention;
        let pruned = store
            .prune(&mut tx, &self.consumer, retention, STEP)
            .await?;
        if pruned > 0 {
            database.commit(tx).await?;
        }
        Ok(pruned)
    }

    /// Counts what is in the queue.
    async fn update_totals(&self) -> Result<(), Error> {
        let store = self.queue.store();
        let totals = store.totals(&self.consumer, CAP).await?;
        self.ending.shared().update(|status| status.totals = totals);
        let consumer = || self.consumer.to_string();
        #[expect(clippy::cast_precision_loss, reason = "counts are capped")]
        let set = |name: &'static str, count: u64| {
            gauge!(name, "consumer" => consumer()).set(count as f64);
        };
        set("mainstay_dlq_dead_letters", totals.dead);
        set("mainstay_dlq_held_messages", totals.held);
        set("mainstay_dlq_blocked_keys", totals.blocked_keys);
        Ok(())
    }

    fn count(&self, outcome: &'static str) {
        counter!("mainstay_dlq_replays", "consumer" => self.consumer.to_string(), "outcome" => outcome)
            .increment(1);
    }
}

fn of_handler(error: &HandlerError) -> Ran {
    let text = chain(error.error());
    if !error.counts_attempt() {
        return Ran::Interrupted(text);
    }
    let kind = if error.is_panic() {
        FailureKind::Panicked
    } else if error.is_permanent() {
        FailureKind::Permanent
    } else {
        FailureKind::Exhausted
    };
    Ran::Failed(Failure::new(kind, 1, text))
}
