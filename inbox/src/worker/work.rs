//! One attempt: a batch of messages, one transaction.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::FutureExt as _;
use mainstay_database::Transactions;
use mainstay_messaging::{Content, Delivery, Group};
use tracing::Instrument as _;

use super::{
    calls::calls,
    lanes::LaneId,
    outcome::{
        Cause, DecodingPanicked, Fault, Interruption, Late, NoHandler, NoMessage, Outcome,
        Panicked, Reason, Stage, panic_text,
    },
    settings::Settings,
    telemetry::{Meters, span_of},
};
use crate::{
    Error, Handlers, Inbox,
    handlers::{Call, Class, Registered, database_error},
};

/// What every transaction of a worker needs.
pub(super) struct Work<T: Transactions + ?Sized, I: ?Sized> {
    pub(super) group: Group,
    pub(super) transactions: Arc<T>,
    pub(super) inbox: Arc<I>,
    pub(super) handlers: Arc<Handlers<T::Connection>>,
    pub(super) settings: Settings,
    pub(super) meters: Meters,
}

/// One message of a batch, with the lane whose order it keeps.
pub(super) type Member = (LaneId, Arc<Delivery>);

/// An event that was read, and who takes it.
type Decoded<C> = (Arc<dyn Registered<C>>, Box<dyn Any + Send>);

impl<T, I> Work<T, I>
where
    T: Transactions + ?Sized,
    I: Inbox<Connection = T::Connection> + ?Sized,
{
    /// Makes the effects of a batch, all or none.
    pub(super) async fn attempt(&self, batch: &[Member]) -> Outcome {
        // Before the transaction: what cannot be read must not cost the others one.
        let events: Vec<_> = batch
            .iter()
            .map(|(_, delivery)| self.read(delivery))
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

    fn read(&self, delivery: &Delivery) -> Result<Decoded<T::Connection>, Reason> {
        let message = match &delivery.content {
            Content::Raw(raw) => return Err(Arc::new(NoMessage(raw.reason.clone()))),
            Content::Message(message) => message,
        };
        let Some(handler) = self.handlers.of(message) else {
            return Err(Arc::new(NoHandler));
        };
        // Upcasters and `Deserialize` are the user's code.
        match catch_unwind(AssertUnwindSafe(|| handler.decode(message))) {
            Ok(Ok(event)) => Ok((Arc::clone(handler), event)),
            Ok(Err(error)) => Err(Arc::new(error)),
            Err(payload) => Err(Arc::new(DecodingPanicked::from(&*payload))),
        }
    }

    async fn transact(
        &self,
        batch: &[Member],
        events: Vec<Result<Decoded<T::Connection>, Reason>>,
    ) -> Result<Outcome, Interruption> {
        let interrupted = |stage| |error| Interruption::new(stage, Arc::new(error));
        let begun = self.transactions.begin().await.map_err(Error::from);
        let mut tx = begun.map_err(interrupted(Stage::Begin))?;
        let deliveries: Vec<&Delivery> = batch.iter().map(|(_, delivery)| &**delivery).collect();
        let admissions = self
            .inbox
            .admit_batch(&mut tx, &self.group, &deliveries)
            .await
            .map_err(interrupted(Stage::Admission))?;

        // Whatever is not fresh is done or kept already: no effect, and the commit keeps what admission wrote.
        let mut fresh = Vec::with_capacity(batch.len());
        for ((index, event), admission) in events.into_iter().enumerate().zip(admissions) {
            match event {
                _ if !admission.is_fresh() => {}
                Ok((handler, event)) => fresh.push((index, handler, Some(event))),
                Err(error) => {
                    return Ok(Outcome::Failed(Fault::new(index, Cause::Unreadable, error)));
                }
            }
        }
        let plan: Vec<_> = fresh
            .iter()
            .map(|(index, handler, _)| {
                (batch.get(*index).map(|(lane, _)| *lane), handler.together())
            })
            .collect();
        let mut run = Vec::with_capacity(fresh.len());
        for members in calls(&plan) {
            let mut indices = Vec::with_capacity(members.len());
            let mut events = Vec::with_capacity(members.len());
            let mut taker = None;
            for member in members {
                if let Some((index, handler, event)) = fresh.get_mut(member)
                    && let Some(event) = event.take()
                    && let Some((_, delivery)) = batch.get(*index)
                    && let Content::Message(message) = &delivery.content
                {
                    taker = Some(Arc::clone(handler));
                    indices.push(*index);
                    events.push(Call {
                        event,
                        message: message.clone(),
                        position: delivery.position.clone(),
                    });
                }
            }
            run.extend_from_slice(&indices);
            if let Some(handler) = taker
                && let Err(outcome) = self.call(&mut tx, &*handler, indices, &run, events).await
            {
                return Ok(outcome);
            }
        }
        match self.transactions.commit(tx).await {
            Ok(()) => {}
            // Something that the database checks at commit only, or an error that a handler kept to itself: who did it
            // is not known.
            Err(error) if !error.is_retryable() && !run.is_empty() => {
                return Ok(Outcome::unclear(run, Cause::Retryable, Arc::new(error)));
            }
            Err(error) => return Err(Interruption::new(Stage::Commit, Arc::new(error))),
        }
        self.ring();
        Ok(Outcome::Done {
            handled: fresh.len(),
        })
    }

    /// What is committed is done, whatever becomes of the call.
    fn ring(&self) {
        if let Some(call) = &self.settings.on_commit
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| call()))
        {
            let panicked = panic_text(&*payload);
            tracing::error!(panicked, consumer = %self.group, "what is called after a commit panicked");
        }
    }

    /// One call of a handler, with its deadline; a panic is a failure like any other. `run` = what has run in this
    /// transaction, this call included.
    async fn call(
        &self,
        connection: &mut T::Connection,
        handler: &dyn Registered<T::Connection>,
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
                // The database refuses it because of an earlier error, which some handler, maybe another one, kept to itself.
                if let Some(mainstay_database::Error::Aborted) = database_error(&*source) {
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
            Ok(Err(payload)) => (Cause::Panicked, Arc::new(Panicked::from(&*payload)), None),
            Err(_) => (Cause::Late, Arc::new(Late(deadline)), None),
        };
        Err(match culprit {
            Some(culprit) => Outcome::Failed(Fault::new(culprit, cause, error)),
            None => Outcome::unclear(indices, cause, error),
        })
    }
}
