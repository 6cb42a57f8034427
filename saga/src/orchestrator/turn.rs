//! One transition: the engine's decisions become documents, messages and rows.

use std::{
    any::Any,
    collections::VecDeque,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use futures_util::FutureExt as _;
use mainstay_inbox::HandlerError;
use mainstay_messaging::{Cause, Key, Kind, Message, MessageId, Topic};
use mainstay_outbox::{Entry as OutboxEntry, Outbox};
use serde::{Serialize, de::DeserializeOwned};

use super::{Orchestrator, Transition, count_ends};
use crate::{
    Attempt, CommandId, Definition, Error, RunId,
    command::WITHOUT_UNDO,
    definition::Made,
    engine::{Input, Reply, Send as Sending, advance},
    journal::Entry,
    raw_reply::RawReply,
    state::{Broken, State, Status},
    store::{Created, Face, NewRun, SagaStore, SavedRun},
};

/// A run while it changes.
pub(crate) struct Running<'d, I> {
    pub(crate) definition: &'d Definition<I>,
    pub(crate) run: RunId,
    pub(crate) key: String,
    pub(crate) state: State,
    pub(crate) elapsed: Duration,
    input: I,
    /// None: it begins.
    before: Option<Status>,
    journal: Vec<Entry>,
    messages: Vec<Message>,
    /// The trace that the next commands belong to.
    pub(crate) cause: Cause,
}

impl<'d, I> Running<'d, I> {
    pub(super) fn new(
        definition: &'d Definition<I>,
        run: RunId,
        key: String,
        state: State,
        input: I,
    ) -> Self {
        let is_new = state.steps.iter().all(|step| step.attempt == 0);
        Self {
            definition,
            run,
            key,
            elapsed: Duration::ZERO,
            input,
            before: (!is_new).then(|| state.status()),
            state,
            journal: Vec::new(),
            messages: Vec::new(),
            cause: Cause::current(),
        }
    }

    /// The run stands still from here on, and keeps the reply that it could not take.
    pub(crate) fn break_down(&mut self, error: &Error, reply: Option<&Message>) {
        let why = error.to_string();
        let (saga, run, key) = (self.definition.shape().name, &self.run, &self.key);
        tracing::error!(saga, %run, key, why, "a run is broken and stands still; mend it and retry it");
        metrics::counter!("mainstay_saga_broken", "saga" => saga).increment(1);
        self.journal.push(Entry::Broken { why: why.clone() });
        self.state.broken = Some(Broken {
            why,
            replies: reply.map(RawReply::of).into_iter().collect(),
        });
    }

    pub(crate) fn note(&mut self, entry: Entry) {
        self.journal.push(entry);
    }

    /// Code of the definition, which may panic.
    pub(crate) fn guard<T>(code: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(code))
            .unwrap_or_else(|payload| Err(Error::Panicked(panic_text(&*payload))))
    }

    fn make(&mut self, sending: Sending) -> Result<Made, Error> {
        let Sending { step, attempt } = sending;
        let made = Self::guard(|| {
            self.definition
                .make(step, attempt, &self.input, &self.state)
        })?;
        if let Some(kept) = self.state.steps.get_mut(step)
            && kept.command.is_none()
        {
            kept.command = Some(made.document.clone());
            kept.key.clone_from(&made.key);
        }
        Ok(made)
    }

    fn transition(&self) -> Transition<'_, I> {
        let shape = self.definition.shape();
        Transition {
            saga: shape.name,
            version: shape.version,
            run: &self.run,
            key: &self.key,
            input: &self.input,
            before: self.before,
            after: self.state.status(),
            journal: &self.journal,
            state: &self.state,
            cause: &self.cause,
        }
    }

    fn stored(&self) -> Result<Stored, Error> {
        let (state, face) = (serde_json::to_string(&self.state)?, self.face());
        Ok(Stored { state, face })
    }

    fn face(&self) -> Face {
        let status = self.state.status();
        Face {
            status,
            is_overdue: self.state.is_overdue(),
            step: self.state.at().map(|step| step.name.clone()),
            wake_in: self.state.wake_in(),
        }
    }
}

/// What is stored of a run.
struct Stored {
    state: String,
    face: Face,
}

impl Stored {
    fn of<'a, I>(&'a self, running: &'a Running<'_, I>) -> SavedRun<'a> {
        SavedRun {
            run: &running.run,
            state: &self.state,
            face: &self.face,
            journal: &running.journal,
        }
    }
}

impl<I, S, O> Orchestrator<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
{
    /// Gives a run an input, and local steps that follow their turn. What changed is written by
    /// [`finish`](Self::finish).
    pub(crate) async fn give(
        &self,
        connection: &mut S::Connection,
        running: &mut Running<'_, I>,
        input: Input,
    ) -> Result<(), Error> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let shape = running.definition.shape();
            let turn = advance(shape, &running.state, running.elapsed, &input);
            if turn.journal.is_empty() {
                continue; // nothing that it waits for
            }
            running.elapsed = Duration::ZERO;
            running.state = turn.state;
            running.journal.extend(turn.journal);
            for sending in turn.commands {
                let made = match running.make(sending) {
                    Ok(made) => made,
                    // The caller of `start` is told at once.
                    Err(error) if running.before.is_none() => return Err(error),
                    Err(error) => {
                        running.break_down(&error, None);
                        break;
                    }
                };
                let step = &shape.steps[sending.step];
                if !step.is_local {
                    let message = self.message(running, sending, &made)?;
                    running.messages.push(message);
                    continue;
                }
                let reply = self
                    .run_local(connection, &running.cause, sending, &made)
                    .await?;
                inputs.push_back(Input::Reply {
                    step: sending.step,
                    attempt: sending.attempt,
                    reply,
                });
            }
        }
        Ok(())
    }

    async fn run_local(
        &self,
        connection: &mut S::Connection,
        cause: &Cause,
        sending: Sending,
        made: &Made,
    ) -> Result<Reply, Error> {
        let kind = made.document.kind();
        let Some((kind, handler)) = self.inner.locals.get_key_value(kind) else {
            // The builder has looked for each of them, and a stored command is of this definition.
            return Err(Error::NoStep { step: sending.step });
        };
        let attempt = match sending.attempt {
            Attempt::Do(attempt) => attempt,
            Attempt::Undo => 1,
        };
        let running = handler.run(connection, &made.document, attempt);
        guarded(cause.clone().scope(running))
            .await
            .map_err(|failure| Error::Handler {
                what: format!("the local step {kind}"),
                failure,
            })
    }

    /// A command and its undo go to one topic and key, so that they keep their order.
    fn message(
        &self,
        running: &Running<'_, I>,
        sending: Sending,
        made: &Made,
    ) -> Result<Message, Error> {
        let origin = self.outbox().origin();
        let source = origin.source().ok_or(mainstay_outbox::Error::NoSource)?;
        let step = &running.definition.shape().steps[sending.step];
        let id = CommandId::new(running.run.clone(), &*step.name, sending.attempt);
        let mut message = Message::with_id(
            MessageId::new(id.to_string())?,
            source.clone(),
            Topic::new(step.topic)?,
            Kind::new(made.document.kind())?,
        );
        made.document.write_to(&mut message);
        if step.undo.is_none() {
            message.headers.append(WITHOUT_UNDO, "true");
        }
        let key = made.key.as_ref().unwrap_or(&running.key);
        message.key = Some(Key::new(key.as_str())?);
        message.occurred_at = Some(origin.clock().now());
        message.correlation_id = Some(running.run.to_string());
        message.traceparent = running.cause.traceparent().map(str::to_owned);
        Ok(message)
    }

    /// Writes runs that have changed, their commands, and what observers add.
    pub(crate) async fn finish(
        &self,
        connection: &mut S::Connection,
        runs: Vec<Running<'_, I>>,
    ) -> Result<(), Error> {
        let mut runs = runs;
        runs.retain(|running| !running.journal.is_empty());
        if runs.is_empty() {
            return Ok(());
        }
        let states: Vec<Stored> = (runs.iter())
            .map(Running::stored)
            .collect::<Result<_, Error>>()?;
        let saved: Vec<SavedRun<'_>> = (runs.iter().zip(&states))
            .map(|(running, stored)| stored.of(running))
            .collect();
        self.store().save(connection, &saved).await?;
        self.follow(connection, &mut runs).await
    }

    /// As [`finish`](Self::finish), for a run that begins; nothing is written if its business key has
    /// one that has not ended.
    pub(super) async fn create(
        &self,
        connection: &mut S::Connection,
        new: &NewRun<'_>,
        running: Running<'_, I>,
    ) -> Result<Created, Error> {
        let stored = running.stored()?;
        let saved = stored.of(&running);
        let created = self.store().create_saved(connection, new, &saved).await?;
        if created == Created::New {
            self.follow(connection, &mut [running]).await?;
        }
        Ok(created)
    }

    /// Sends the commands of runs that were saved, and tells observers.
    async fn follow(
        &self,
        connection: &mut S::Connection,
        runs: &mut [Running<'_, I>],
    ) -> Result<(), Error> {
        let messages: Vec<Message> = (runs.iter_mut())
            .flat_map(|running| mem::take(&mut running.messages))
            .collect();
        if !messages.is_empty() {
            let entries: Vec<OutboxEntry<'_>> = messages.iter().map(OutboxEntry::new).collect();
            for _added in self.outbox().enqueue_batch(connection, &entries).await? {}
        }
        self.observed(connection, runs).await
    }

    async fn observed(
        &self,
        connection: &mut S::Connection,
        runs: &[Running<'_, I>],
    ) -> Result<(), Error> {
        let transitions: Vec<Transition<'_, I>> = runs.iter().map(Running::transition).collect();
        for observer in &self.inner.observers {
            let observing = observer.observe_batch(connection, &transitions);
            guarded(observing).await.map_err(|failure| Error::Handler {
                what: "an observer of the saga".to_owned(),
                failure,
            })?;
        }
        for running in runs {
            let saga = running.definition.shape().name;
            let is_overdue = |entry: &&Entry| matches!(entry, Entry::Overdue { .. });
            for _overdue in running.journal.iter().filter(is_overdue) {
                let (run, key) = (&running.run, &running.key);
                tracing::warn!(saga, %run, key, "a run is overdue; see its timeline");
                metrics::counter!("mainstay_saga_overdue", "saga" => saga).increment(1);
            }
            count_ends(saga, running.state.status());
        }
        Ok(())
    }
}

/// A panic of user code is a failure of its transition, not of the engine that runs it.
async fn guarded<T>(
    running: impl Future<Output = Result<T, HandlerError>> + Send,
) -> Result<T, HandlerError> {
    let ended = AssertUnwindSafe(running).catch_unwind().await;
    ended.unwrap_or_else(|payload| {
        let text = panic_text(&*payload);
        Err(HandlerError::retryable(Error::Panicked(text)))
    })
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the payload is not a text".to_owned())
}
