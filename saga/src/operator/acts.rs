//! Acts on a run, each recorded with who does it and why.

use mainstay_database::Transactions as _;
use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use super::{Desk, Signature};
use crate::{
    Document, Error, RunId,
    engine::{Cancellation, Input},
    journal::Entry,
    orchestrator::Running,
    raw_reply::RawReply,
    state::{Progress, State, Status},
    store::DeskStore,
};

impl<I, S, O> Desk<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: DeskStore,
    O: Outbox<Connection = S::Connection>,
{
    /// Sends what is in flight again, under the same command ids, and makes waiting attempts now. A
    /// broken run goes on: it takes the replies that it has kept, and sends what follows once.
    ///
    /// # Errors
    /// [`Error::WrongState`] if the run has ended; [`Error::NotFound`], [`Error::Unsigned`],
    /// [`Error::Incompatible`], [`Error::Damaged`], [`Error::Database`], [`Error::Outbox`],
    /// [`Error::Handler`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether the act was done; doing it again is safe.
    pub async fn retry(&self, run: &RunId, by: &Signature) -> Result<(), Error> {
        by.check()?;
        let orchestrator = &self.orchestrator;
        let mut tx = self.store().database().begin().await?;
        let mut running = orchestrator.locked(&mut tx, run).await?;
        check_open(run, &running.state)?;
        let kept = mend(&mut running, by);
        let before = attempts(&running.state);
        self.take_kept(&mut tx, &mut running, &kept).await?;
        let now = attempts(&running.state);
        for (step, (before, now)) in before.into_iter().zip(now).enumerate() {
            // What the kept replies led to was sent right now.
            if before == now && is_in_flight(&running.state, step) {
                let input = Input::Retry {
                    step,
                    by: by.clone(),
                };
                orchestrator.give(&mut tx, &mut running, input).await?;
            }
        }
        orchestrator.finish(&mut tx, vec![running]).await?;
        self.commit(tx).await
    }

    /// Supplies the outcome of a step that is in flight or waits: `result` is the JSON of its `Done`
    /// event. For a step that is being undone, it is undone, and `result` is not looked at.
    ///
    /// A broken run goes on, as by a [`retry`](Self::retry). The participant may still act on the
    /// command. Make sure that it does not, or that its effect is what `result` says.
    ///
    /// # Errors
    /// [`Error::NotInFlight`]; [`Error::Json`] or [`Error::Decode`] if `result` is no result of the
    /// step; others as [`retry`](Self::retry).
    ///
    /// # Cancel safety
    /// As [`retry`](Self::retry).
    pub async fn skip(
        &self,
        run: &RunId,
        step: &str,
        result: &str,
        by: &Signature,
    ) -> Result<(), Error> {
        by.check()?;
        let orchestrator = &self.orchestrator;
        let mut tx = self.store().database().begin().await?;
        let mut running = orchestrator.locked(&mut tx, run).await?;
        check_open(run, &running.state)?;
        let place = running.definition.shape().find(step);
        let place = place.filter(|place| is_in_flight(&running.state, *place));
        let place = place.ok_or_else(|| Error::NotInFlight {
            run: run.clone(),
            step: step.to_owned(),
        })?;
        let (kind, version) = running.definition.result_kind(place)?;
        let kept = mend(&mut running, by);
        let result = if running.state.status() == Status::Undoing {
            Document::new(kind, version, "null")?
        } else {
            let result = Document::new(kind, version, result)?;
            running.definition.check_result(place, &result)?;
            result
        };
        let input = Input::Skip {
            step: place,
            result,
            by: by.clone(),
        };
        orchestrator.give(&mut tx, &mut running, input).await?;
        self.take_kept(&mut tx, &mut running, &kept).await?;
        orchestrator.finish(&mut tx, vec![running]).await?;
        self.commit(tx).await
    }

    /// Cancels a run: a refusal at the next safe point. Once the pivot was sent, it is undecided or
    /// too late.
    ///
    /// # Errors
    /// As [`retry`](Self::retry); a run that has ended or is broken is [`Cancellation::Not`].
    ///
    /// # Cancel safety
    /// As [`retry`](Self::retry).
    pub async fn cancel(&self, run: &RunId, by: &Signature) -> Result<Cancellation, Error> {
        by.check()?;
        let mut tx = self.store().database().begin().await?;
        let cancelled = self.orchestrator.cancel_run(&mut tx, run, by).await?;
        self.commit(tx).await?;
        Ok(cancelled)
    }

    async fn take_kept(
        &self,
        connection: &mut S::Connection,
        running: &mut Running<'_, I>,
        kept: &[RawReply],
    ) -> Result<(), Error> {
        for raw in kept {
            let message = raw.read().map_err(|source| Error::Damaged {
                run: running.run.clone(),
                source,
            })?;
            let id = message.causation_id.as_deref().unwrap_or_default();
            if let Ok(command) = id.parse() {
                let taken = self
                    .orchestrator
                    .take_one(connection, running, &command, &message);
                taken.await?;
            }
        }
        Ok(())
    }

    async fn commit(
        &self,
        tx: <S::Database as mainstay_database::Transactions>::Transaction,
    ) -> Result<(), Error> {
        self.store().database().commit(tx).await?;
        self.orchestrator.outbox().notify();
        Ok(())
    }
}

fn check_open(run: &RunId, state: &State) -> Result<(), Error> {
    let status = state.status();
    if status.is_ended() {
        return Err(wrong(run, status, "running, undoing or broken"));
    }
    Ok(())
}

fn wrong(run: &RunId, status: Status, needed: &'static str) -> Error {
    let run = run.clone();
    Error::WrongState {
        run,
        status,
        needed,
    }
}

/// How far each step is.
fn attempts(state: &State) -> Vec<(Progress, u32)> {
    let steps = state.steps.iter();
    steps.map(|step| (step.progress, step.attempt)).collect()
}

fn is_in_flight(state: &State, step: usize) -> bool {
    let step = state.steps.get(step);
    step.is_some_and(|step| {
        matches!(
            step.progress,
            Progress::Sent | Progress::Waiting | Progress::Undoing
        )
    })
}

/// Lets a broken run go on: the replies that it has kept are to be taken again.
fn mend<I>(running: &mut Running<'_, I>, by: &Signature) -> Vec<RawReply> {
    let Some(broken) = running.state.broken.take() else {
        return Vec::new();
    };
    running.note(Entry::Mended { by: by.clone() });
    broken.replies
}
