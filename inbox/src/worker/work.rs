//! One attempt: a batch of messages, one transaction.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::FutureExt as _;
use mainstay_database::{ErrorKind, Transactions as _};
use mainstay_messaging::{Group, broker::Delivery};
use tracing::Instrument as _;

use super::{
    calls::calls,
    lanes::LaneId,
    outcome::{Cause, Done, Fault, Interruption, Late, Outcome, Reason, Stage},
    settings::Settings,
    telemetry::{Meters, span_of},
};
use crate::{
    Admission, Error,
    handlers::{Call, Class, Decoded, Panicked, Registered, Registry, panic_text},
    store::WorkerStore,
};

/// What every transaction of a worker needs.
pub(super) struct Work<I: WorkerStore> {
    pub(super) group: Group,
    pub(super) inbox: I,
    pub(super) handlers: Registry<I::Connection>,
    pub(super) settings: Settings,
    pub(super) meters: Meters,
}

/// One message of a batch, with the lane whose order it keeps.
pub(super) type Member = (LaneId, Arc<Delivery>);

type Read<I> = Result<Decoded<<I as crate::Inbox>::Connection>, Reason>;

impl<I: WorkerStore> Work<I> {
    /// Makes the effects of a batch, all or none.
    pub(super) async fn attempt(&self, batch: &[Member]) -> Outcome {
        // Before the transaction: an unreadable record must not cost the others one.
        let events: Vec<_> = batch
            .iter()
            .map(|(_, delivery)| self.handlers.read(delivery))
            .collect();
        if batch.len() > 1 && events.iter().any(Result::is_err) {
            let unreadable = events
                .iter()
                .enumerate()
                .filter(|(_, event)| event.is_err());
            return Outcome::Suspects(unreadable.map(|(index, _)| index).collect());
        }
        self.transact(batch, events)
            .await
            .unwrap_or_else(Outcome::Interrupted)
    }

    async fn transact(
        &self,
        batch: &[Member],
        events: Vec<Read<I>>,
    ) -> Result<Outcome, Interruption> {
        let interrupted = |stage| |error| Interruption::new(stage, Arc::new(error));
        let database = self.inbox.database();
        let begun = database.begin().await.map_err(Error::from);
        let mut tx = begun.map_err(interrupted(Stage::Begin))?;
        let deliveries: Vec<&Delivery> = batch.iter().map(|(_, delivery)| &**delivery).collect();
        let admissions = self
            .inbox
            .admit_batch(&mut tx, &self.group, &deliveries)
            .await
            .map_err(interrupted(Stage::Admission))?;

        // Any other message than a fresh one has no effect here; the commit keeps what admission
        // wrote for it.
        let mut fresh = Vec::with_capacity(batch.len());
        let mut done = Done::default();
        for ((index, event), admission) in events.into_iter().enumerate().zip(admissions) {
            match (admission, event) {
                (Admission::Fresh, Ok(decoded)) => {
                    fresh.push((index, decoded.handler, Some(decoded.call)));
                }
                (Admission::Fresh, Err(error)) => {
                    return Ok(Outcome::Failed(Fault::unread(index, error)));
                }
                (Admission::Held, _) => done.held += 1,
                (Admission::Duplicate, _) => {}
            }
        }
        done.handled = fresh.len() as u64;
        let plan: Vec<_> = fresh
            .iter()
            .map(|(index, handler, _)| (batch.get(*index).map(|(lane, _)| *lane), handler.batch()))
            .collect();
        let mut run = Vec::with_capacity(fresh.len());
        for members in calls(&plan) {
            let mut indices = Vec::with_capacity(members.len());
            let mut events = Vec::with_capacity(members.len());
            let mut taker = None;
            for member in members {
                if let Some((index, handler, call)) = fresh.get_mut(member)
                    && let Some(call) = call.take()
                {
                    taker = Some(Arc::clone(handler));
                    indices.push(*index);
                    events.push(call);
                }
            }
            run.extend_from_slice(&indices);
            if let Some(handler) = taker
                && let Err(outcome) = self.call(&mut tx, &*handler, indices, &run, events).await
            {
                return Ok(outcome);
            }
        }
        match database.commit(tx).await {
            Ok(()) => {}
            // A check that the database makes only at commit, or an error that a handler did not
            // return. The database does not say whose statement it was.
            Err(error) if !error.is_retryable() && !run.is_empty() => {
                return Ok(Outcome::unclear(run, Cause::Retryable, Arc::new(error)));
            }
            Err(error) => return Err(Interruption::new(Stage::Commit, Arc::new(error))),
        }
        self.notify();
        Ok(Outcome::Done(done))
    }

    /// The transaction is committed, whatever happens in the callback.
    fn notify(&self) {
        if let Some(notify) = &self.settings.on_commit
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| notify()))
        {
            let panic = panic_text(&*payload);
            tracing::error!(panic, consumer = %self.group, "the on_commit callback panicked; the commit stands");
        }
    }

    /// One call of a handler, with its deadline. A panic is a failed attempt. `run` lists what has
    /// run in this transaction, this call included.
    async fn call(
        &self,
        connection: &mut I::Connection,
        handler: &dyn Registered<I::Connection>,
        indices: Vec<usize>,
        run: &[usize],
        events: Vec<Call>,
    ) -> Result<(), Outcome> {
        let deadline = self.settings.handler_deadline;
        let span = span_of(&self.group, &events);
        let running = AssertUnwindSafe(handler.run(connection, events)).catch_unwind();
        let ended = tokio::time::timeout(deadline, running)
            .instrument(span)
            .await;
        let (cause, error, culprit): (_, Reason, _) = match ended {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => {
                let culprit = error.culprit().and_then(|at| indices.get(at).copied());
                let class = error.class();
                let source: Reason = error.into_source().into();
                // An earlier statement of the transaction failed, and its handler, perhaps another
                // one, did not return that error.
                if ErrorKind::of(&*source) == Some(ErrorKind::Aborted) {
                    return Err(Outcome::unclear(run.to_vec(), Cause::Retryable, source));
                }
                match class {
                    Class::Interrupted => {
                        let stage = Stage::Handling(culprit.map_or(indices, |at| vec![at]));
                        return Err(Outcome::Interrupted(Interruption::new(stage, source)));
                    }
                    Class::Retryable => (Cause::Retryable, source, culprit),
                    Class::Permanent => (Cause::Permanent, source, culprit),
                }
            }
            Ok(Err(payload)) => {
                let panicked = Panicked(panic_text(&*payload));
                (Cause::Panicked, Arc::new(panicked), None)
            }
            Err(_) => (Cause::DeadlineExceeded, Arc::new(Late(deadline)), None),
        };
        Err(match culprit {
            Some(culprit) => Outcome::Failed(Fault::new(culprit, cause, error)),
            None => Outcome::unclear(indices, cause, error),
        })
    }
}
