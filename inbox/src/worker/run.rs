//! The messages of one chunk: admission, and the calls of their handlers.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use mainstay_database::{ErrorKind, Transactions as _};
use mainstay_messaging::Delivery;
use tracing::Instrument as _;

use super::{
    calls::calls,
    outcome::{Broken, Cause, Done, Fault, Interruption, Late, Reason, Stage},
    telemetry::span_of,
    waiting::Entry,
    work::Work,
};
use crate::{
    Admission,
    handlers::{Call, Class, Decoded, Panicked, Registered, panic_text},
    store::WorkerStore,
};

/// What became of a chunk.
pub(super) struct Part {
    pub(super) done: Done,
    /// Places of the messages whose handlers ran, in the order of the calls.
    pub(super) run: Vec<usize>,
}

impl<I: WorkerStore> Work<I> {
    /// Admits the messages of a chunk and runs their handlers. If the chunk is `guarded` by a
    /// savepoint, releases that.
    pub(super) async fn run(
        &self,
        connection: &mut I::Connection,
        chunk: &mut [Entry<I::Connection>],
        guarded: bool,
    ) -> Result<Result<Part, Broken>, Interruption> {
        let deliveries: Vec<&Delivery> = chunk.iter().map(|entry| &*entry.delivery).collect();
        let admitted = self
            .inbox
            .admit_batch(connection, &self.group, &deliveries)
            .await;
        let admissions =
            admitted.map_err(|error| Interruption::new(Stage::Admission, Arc::new(error)))?;

        // Any other message than a fresh one has no effect here; the commit keeps what admission
        // wrote for it.
        let mut fresh = Vec::with_capacity(chunk.len());
        let mut done = Done::default();
        for (entry, admission) in chunk.iter_mut().zip(admissions) {
            match admission {
                Admission::Fresh => {
                    let event = entry.event.take();
                    match event.unwrap_or_else(|| self.handlers.read(&entry.delivery)) {
                        Ok(Decoded { handler, event }) => {
                            fresh.push((&*entry, handler, Some(event)));
                        }
                        Err(error) => {
                            let fault = Fault::unread(entry.index, error);
                            return Ok(Err(Broken::By(fault)));
                        }
                    }
                }
                Admission::Held => done.held += 1,
                Admission::Duplicate => {}
            }
        }
        done.handled = fresh.len() as u64;
        let plan: Vec<_> = fresh
            .iter()
            .map(|(entry, handler, _)| (entry.lane, handler.batch()))
            .collect();
        let mut run = Vec::with_capacity(fresh.len());
        for members in calls(&plan) {
            let mut indices = Vec::with_capacity(members.len());
            let mut events = Vec::with_capacity(members.len());
            let mut taker = None;
            for member in members {
                if let Some((entry, handler, event)) = fresh.get_mut(member)
                    && let Some(event) = event.take()
                {
                    taker.get_or_insert_with(|| Arc::clone(handler));
                    indices.push(entry.index);
                    let delivery = &*entry.delivery;
                    events.push(Call { event, delivery });
                }
            }
            run.extend_from_slice(&indices);
            if let Some(handler) = taker
                && let Err(broken) = self
                    .call(connection, &*handler, indices, &run, events)
                    .await?
            {
                return Ok(Err(broken));
            }
        }
        if guarded && let Err(error) = self.inbox.database().release_savepoint(connection).await {
            // A handler did not return the error of a statement, or ended the transaction.
            if error.is_retryable() || run.is_empty() {
                return Err(Interruption::new(Stage::Commit, Arc::new(error)));
            }
            return Ok(Err(Broken::among(run, Cause::Retryable, Arc::new(error))));
        }
        Ok(Ok(Part { done, run }))
    }

    /// One call of a handler, with its deadline. A panic is a failed attempt. `run` lists what has
    /// run since the savepoint, this call included.
    async fn call(
        &self,
        connection: &mut I::Connection,
        handler: &dyn Registered<I::Connection>,
        indices: Vec<usize>,
        run: &[usize],
        events: Vec<Call<'_>>,
    ) -> Result<Result<(), Broken>, Interruption> {
        let deadline = self.settings.handler_deadline;
        let span = span_of(&self.group, &events);
        let running = AssertUnwindSafe(handler.run(connection, events)).catch_unwind();
        let ended = tokio::time::timeout(deadline, running)
            .instrument(span)
            .await;
        let (cause, error, culprit): (_, Reason, _) = match ended {
            Ok(Ok(Ok(()))) => return Ok(Ok(())),
            Ok(Ok(Err(error))) => {
                let culprit = error.culprit().and_then(|at| indices.get(at).copied());
                let class = error.class();
                let source: Reason = error.into_source().into();
                // An earlier statement failed, and its handler, perhaps another one, did not return
                // that error.
                if ErrorKind::of(&*source) == Some(ErrorKind::Aborted) {
                    return Ok(Err(Broken::among(run.to_vec(), Cause::Retryable, source)));
                }
                match class {
                    Class::Interrupted => {
                        let stage = Stage::Handling(culprit.map_or(indices, |at| vec![at]));
                        return Err(Interruption::new(stage, source));
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
        Ok(Err(match culprit {
            Some(culprit) => Broken::By(Fault::new(culprit, cause, error)),
            None => Broken::among(indices, cause, error),
        }))
    }
}
