//! One look at what is due.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt as _;
use mainstay_database::Transactions as _;
use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use super::Timers;
use crate::{
    Error, RunId,
    engine::Input,
    journal::Entry,
    state::Status,
    store::{Face, SagaStore, SavedRun},
};

/// When a run whose timer failed is looked at again.
const POSTPONED: Duration = Duration::from_secs(30);

/// What a run looks like whose row cannot be read.
const BROKEN: Face = Face {
    status: Status::Broken,
    is_overdue: false,
    step: None,
    wake_in: None,
};

/// How often ended runs are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// What a round left to do.
struct Round {
    has_more_due: bool,
    has_more_to_prune: bool,
}

/// Whether the next round may succeed although no run has changed.
fn is_interruption(error: &Error) -> bool {
    match error {
        Error::Handler { failure, .. } => !failure.counts_attempt(),
        error => error.is_retryable(),
    }
}

impl<I, S, O> Timers<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
{
    pub(super) async fn turn(self, shutdown: impl Future<Output = ()> + Send) {
        let shared = self.ending.shared();
        shared.update(|status| status.running = true);
        let mut shutdown = pin!(async {
            tokio::select! {
                biased;
                () = shared.shutdown.cancelled() => {}
                () = shutdown => {}
            }
        });
        let mut prune_due = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let is_prune_due = prune_due.as_mut().now_or_never().is_some();
            let round = self.round(is_prune_due).await;
            if is_prune_due && !round.has_more_to_prune {
                prune_due.set(tokio::time::sleep(PRUNE_INTERVAL));
            }
            let rest = if round.has_more_due || round.has_more_to_prune {
                Duration::ZERO
            } else {
                self.settings.poll_interval
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    async fn round(&self, is_prune_due: bool) -> Round {
        let limit = u64::from(self.settings.batch_size);
        let fired = match self.fire(self.settings.batch_size).await {
            Err((_, error)) if !is_interruption(&error) => self.one_by_one().await,
            fired => fired.map_err(|(_, error)| error),
        };
        let pruned = match &fired {
            Ok(_) if is_prune_due => self.prune().await,
            _ => Ok(0),
        };
        let round = Round {
            has_more_due: *fired.as_ref().unwrap_or(&0) >= limit,
            has_more_to_prune: *pruned.as_ref().unwrap_or(&0) >= limit,
        };
        self.ending.shared().update(|status| {
            let failed = match (&fired, &pruned) {
                (Err(error), _) | (Ok(_), Err(error)) => Some(error.to_string()),
                (Ok(_), Ok(_)) => None,
            };
            if let (Some(error), None) = (&failed, &status.last_error) {
                tracing::warn!(error, "the timers of a saga cannot go on; retrying");
            }
            status.last_error = failed.map(Into::into);
            status.fired += fired.unwrap_or(0);
            status.pruned += pruned.unwrap_or(0);
        });
        round
    }

    /// A batch has failed by a run in it: each in a transaction of its own. The one that fails is
    /// put aside, so that it does not keep the others waiting.
    async fn one_by_one(&self) -> Result<u64, Error> {
        let mut fired = 0;
        for _ in 0..self.settings.batch_size {
            match self.fire(1).await {
                Ok(0) => break,
                Ok(one) => fired += one,
                Err((Some(run), error)) if !is_interruption(&error) => {
                    let saga = self.orchestrator.name();
                    tracing::error!(saga, %run, %error, "the timer of a run failed; it is tried again in {POSTPONED:?}");
                    self.postpone(&run, &error).await?;
                }
                Err((_, error)) => return Err(error),
            }
        }
        Ok(fired)
    }

    /// Up to `limit` runs that are due, in one transaction. Timer and reply both lock the row first.
    /// An error names the run if there was one only.
    async fn fire(&self, limit: u32) -> Result<u64, (Option<RunId>, Error)> {
        let orchestrator = &self.orchestrator;
        let (store, name) = (orchestrator.store(), orchestrator.name());
        let general = |error: Error| (None, error);
        let tx = store.database().begin().await;
        let mut tx = tx.map_err(|error| general(error.into()))?;
        let due = store.lock_due(&mut tx, name, orchestrator.fingerprints(), limit);
        let due = due.await.map_err(general)?;
        let count = due.len() as u64;
        let only = match due.as_slice() {
            [] => return Ok(0),
            [only] => Some(only.run.clone()),
            _ => None,
        };
        let acted = async {
            let mut changed = Vec::new();
            for stored in due {
                let mut running = orchestrator.resume(stored)?;
                orchestrator
                    .give(&mut tx, &mut running, Input::Timer)
                    .await?;
                changed.push(running);
            }
            orchestrator.finish(&mut tx, changed).await?;
            Ok(store.database().commit(tx).await?)
        };
        acted.await.map_err(|error| (only, error))?;
        orchestrator.outbox().notify();
        Ok(count)
    }

    /// Looks at a run whose timer failed later, so that it does not keep others waiting. A damaged
    /// one is listed as broken.
    async fn postpone(&self, run: &RunId, error: &Error) -> Result<(), Error> {
        let store = self.orchestrator.store();
        let mut tx = store.database().begin().await?;
        if matches!(error, Error::Damaged { .. }) {
            let runs = std::slice::from_ref(run);
            let name = self.orchestrator.name();
            for stored in store.lock(&mut tx, name, runs).await? {
                let why = error.to_string();
                let saved = SavedRun {
                    run,
                    state: &stored.state,
                    face: &BROKEN,
                    journal: &[Entry::Broken { why }],
                };
                store.save(&mut tx, &[saved]).await?;
            }
        } else {
            store.postpone(&mut tx, run, POSTPONED).await?;
        }
        Ok(store.database().commit(tx).await?)
    }

    async fn prune(&self) -> Result<u64, Error> {
        let (store, name) = (self.orchestrator.store(), self.orchestrator.name());
        let mut tx = store.database().begin().await?;
        let (retention, limit) = (self.settings.retention, self.settings.batch_size);
        let pruned = store.prune(&mut tx, name, retention, limit).await?;
        if pruned > 0 {
            store.database().commit(tx).await?;
        }
        Ok(pruned)
    }
}
