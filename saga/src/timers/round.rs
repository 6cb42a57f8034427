//! One look at what is due.

use std::{pin::pin, time::Duration};

use mainstay_database::Transactions as _;
use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use super::Timers;
use crate::{
    Error, RunId,
    engine::Input,
    journal::Entry,
    state::{State, Status},
    store::{Face, SagaStore, SavedRun, StoredRun},
};

/// When a run whose timer failed is looked at again.
const POSTPONED: Duration = Duration::from_secs(30);

/// Failed runs, which a round takes one by one.
type Failed = (Option<RunId>, Error);

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
        loop {
            let is_busy = self.round().await;
            let rest = if is_busy {
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

    /// Whether there may be more to do at once.
    async fn round(&self) -> bool {
        let limit = u64::from(self.settings.batch_size);
        let fired = match self.fire().await {
            // One run must not keep the others waiting: it is put aside, and the next round goes on.
            Err((Some(run), error)) => {
                let saga = self.orchestrator.name();
                tracing::error!(saga, %run, %error, "the timer of a run failed; it is tried again in {POSTPONED:?}");
                self.postpone(&run, &error).await.map(|()| limit)
            }
            Err((None, error)) => Err(error),
            Ok(fired) => Ok(fired),
        };
        let pruned = match &fired {
            Ok(_) => self.prune().await,
            Err(_) => Ok(0),
        };
        let is_busy =
            *fired.as_ref().unwrap_or(&0) >= limit || *pruned.as_ref().unwrap_or(&0) >= limit;
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
        is_busy
    }

    /// All that is due in one transaction. Timer and reply both lock the row first.
    async fn fire(&self) -> Result<u64, Failed> {
        let general = |error: Error| (None, error);
        let orchestrator = &self.orchestrator;
        let (store, name) = (orchestrator.store(), orchestrator.name());
        let mut tx = (store.database().begin().await).map_err(|error| general(error.into()))?;
        let due = store.lock_due(
            &mut tx,
            name,
            orchestrator.fingerprints(),
            self.settings.batch_size,
        );
        let due = due.await.map_err(general)?;
        let count = due.len() as u64;
        if due.is_empty() {
            return Ok(0);
        }
        let mut changed = Vec::new();
        for stored in due {
            let run = stored.run.clone();
            let at = |error| (Some(run.clone()), error);
            let mut running = orchestrator.resume(stored).map_err(at)?;
            let given = orchestrator.give(&mut tx, &mut running, Input::Timer);
            given.await.map_err(at)?;
            changed.push(running);
        }
        orchestrator
            .finish(&mut tx, changed)
            .await
            .map_err(general)?;
        let committed = store.database().commit(tx).await;
        committed.map_err(|error| general(error.into()))?;
        orchestrator.outbox().notify();
        Ok(count)
    }

    /// Looks at a run whose timer failed later, so that it does not keep others waiting.
    async fn postpone(&self, run: &RunId, error: &Error) -> Result<(), Error> {
        if error.is_retryable() && !matches!(error, Error::Handler { .. }) {
            return Ok(()); // the database interrupted it
        }
        let store = self.orchestrator.store();
        let mut tx = store.database().begin().await?;
        let runs = std::slice::from_ref(run);
        let name = self.orchestrator.name();
        for stored in store.lock(&mut tx, name, runs).await? {
            let (state, face, journal) = postponed(&stored, error);
            let saved = SavedRun {
                run: &stored.run,
                state: &state,
                face: &face,
                journal: &journal,
            };
            store.save(&mut tx, &[saved]).await?;
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

/// What is saved of a run whose timer failed. A state that cannot be read stays as it is, and the
/// run is listed as broken.
fn postponed(stored: &StoredRun, error: &Error) -> (String, Face, Vec<Entry>) {
    let read = serde_json::from_str::<State>(&stored.state).map(|mut state| {
        state.postpone(stored.elapsed, POSTPONED);
        state
    });
    let written = read.and_then(|state| Ok((serde_json::to_string(&state)?, state)));
    match written {
        Ok((text, state)) if !matches!(error, Error::Damaged { .. }) => {
            let face = Face {
                status: state.status(),
                is_overdue: state.is_overdue(),
                step: state.at().map(|step| step.name.clone()),
                wake_in: state.wake_in(),
            };
            (text, face, Vec::new())
        }
        _ => {
            let face = Face {
                status: Status::Broken,
                is_overdue: false,
                step: None,
                wake_in: None,
            };
            let why = error.to_string();
            (stored.state.clone(), face, vec![Entry::Broken { why }])
        }
    }
}
