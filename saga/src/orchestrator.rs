//! Runs sagas: starts them, takes replies, and writes what follows in one transaction.

mod builder;
mod local;
mod observer;
mod replies;
mod turn;
mod worker;

use std::{fmt, sync::Arc};

use mainstay_messaging::Message;
use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Definition, Error, RunId,
    definition::Fingerprint,
    engine::{Cancellation, Input},
    operator::Signature,
    state::{State, Status},
    store::{Created, NewRun, SagaStore, StoredRun},
};
use builder::Locals;

pub(crate) use turn::Running;

pub use builder::OrchestratorBuilder;
pub use observer::{Observer, Transition};
pub use worker::Replies;

/// Runs one saga. Clones share it.
///
/// No process owns a run: a reply is handled by whichever [worker](Self::worker) reads it, and a
/// timer by whichever [`Timers`](crate::Timers) finds it. One transaction holds the run's row, its
/// journal, the next commands in the outbox, and what observers write.
pub struct Orchestrator<I, S: SagaStore, O> {
    inner: Arc<Inner<I, S, O>>,
}

struct Inner<I, S: SagaStore, O> {
    /// The newest one first.
    definitions: Vec<Definition<I>>,
    fingerprints: Vec<Fingerprint>,
    store: S,
    outbox: O,
    locals: Locals<S::Connection>,
    observers: Vec<Arc<dyn Observer<I, S::Connection>>>,
}

/// Whether a run was started.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a business key that has a live run starts none"]
#[expect(clippy::exhaustive_enums, reason = "it is new or it is not")]
pub enum Started {
    /// This run was started.
    New(RunId),
    /// This run of the business key has not ended; nothing was written.
    Exists(RunId),
}

impl Started {
    /// Whether a run was started.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }

    /// The run of the business key.
    #[must_use]
    pub const fn run(&self) -> &RunId {
        match self {
            Self::New(run) | Self::Exists(run) => run,
        }
    }
}

impl<I, S, O> Orchestrator<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
{
    /// Configures an orchestrator of `definition` on these tables and this outbox, which needs a
    /// source.
    pub fn builder(definition: Definition<I>, sagas: S, outbox: O) -> OrchestratorBuilder<I, S, O> {
        OrchestratorBuilder::new(definition, sagas, outbox)
    }

    /// Starts a run in the caller's transaction, and sends its first commands.
    ///
    /// # Behaviour
    /// - Idempotent by business key: while a run of `key` has not ended, nothing is written.
    /// - Once it has ended, a new run starts, with new command ids.
    /// - The run exists if and only if the transaction commits.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Outbox`], [`Error::Handler`]: roll the transaction back.
    /// [`Error::Json`] if the input is not read back, [`Error::InvalidName`] if `key` is no key of
    /// a message, [`Error::Panicked`] if the code of the first step panics, even if the key has a
    /// live run: the first commands are made before the key is looked up.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown what was written: roll the transaction back.
    pub async fn start(
        &self,
        connection: &mut S::Connection,
        key: &str,
        input: &I,
    ) -> Result<Started, Error> {
        mainstay_messaging::Key::new(key)?;
        let definition = self.newest();
        let run = RunId::minted_by(&**self.inner.outbox.origin().ids());
        let input = serde_json::to_string(input)?;
        let new = NewRun {
            saga: definition.shape().name,
            run: &run,
            key,
            version: definition.shape().version,
            fingerprint: self.inner.fingerprints[0],
            input: &input,
        };
        // The effects of a local step need the run: nothing is done for one that exists.
        let has_local = definition.shape().steps.iter().any(|step| step.is_local);
        if has_local && let Created::Exists(run) = self.inner.store.create(connection, &new).await?
        {
            return Ok(Started::Exists(run));
        }
        let (state, given) = (
            State::new(definition.shape()),
            serde_json::from_str(&input)?,
        );
        let mut running = Running::new(definition, run.clone(), key.to_owned(), state, given);
        self.give(connection, &mut running, Input::Start).await?;
        if has_local {
            self.finish(connection, vec![running]).await?;
        } else if let Created::Exists(run) = self.create(connection, &new, running).await? {
            return Ok(Started::Exists(run));
        }
        metrics::counter!("mainstay_saga_started", "saga" => definition.shape().name).increment(1);
        Ok(Started::New(run))
    }

    /// Cancels the run of a business key in the caller's transaction: a refusal at the next safe
    /// point. None if it has no run that has not ended.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::Incompatible`]; others as [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn cancel(
        &self,
        connection: &mut S::Connection,
        key: &str,
        by: &Signature,
    ) -> Result<Option<Cancellation>, Error> {
        by.check()?;
        let store = &self.inner.store;
        match store.find(connection, self.name(), key).await? {
            Some(run) => self.cancel_run(connection, &run, by).await.map(Some),
            None => Ok(None),
        }
    }

    /// Takes replies in the caller's transaction: for a handler of your own that gets a reply which
    /// concerns it too. [`worker`](Self::worker) does it by itself.
    ///
    /// # Behaviour
    /// - A message whose causation id is not the command that its run waits for changes nothing.
    ///   So replies need no processed record.
    /// - A reply that cannot be read breaks its run, which keeps it, and no other.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if this build cannot continue the run of one of them; others as
    /// [`start`](Self::start).
    ///
    /// # Cancel safety
    /// As [`start`](Self::start).
    pub async fn take(
        &self,
        connection: &mut S::Connection,
        replies: &[&Message],
    ) -> Result<(), Error> {
        self.take_batch(connection, replies)
            .await
            .map_err(|(_, error)| error)
    }

    pub(crate) async fn cancel_run(
        &self,
        connection: &mut S::Connection,
        run: &RunId,
        by: &Signature,
    ) -> Result<Cancellation, Error> {
        let mut running = self.locked(connection, run).await?;
        let cancellation = Cancellation::of(running.definition.shape(), &running.state);
        let input = Input::Cancel(by.clone());
        self.give(connection, &mut running, input).await?;
        self.finish(connection, vec![running]).await?;
        Ok(cancellation)
    }

    /// One run, locked.
    pub(crate) async fn locked(
        &self,
        connection: &mut S::Connection,
        run: &RunId,
    ) -> Result<Running<'_, I>, Error> {
        let runs = std::slice::from_ref(run);
        let stored = self.inner.store.lock(connection, self.name(), runs).await?;
        let stored = stored.into_iter().next();
        self.resume(stored.ok_or_else(|| Error::NotFound(run.clone()))?)
    }

    /// Reads a stored run.
    pub(crate) fn resume(&self, stored: StoredRun) -> Result<Running<'_, I>, Error> {
        let place = (self.inner.fingerprints.iter()).position(|print| *print == stored.fingerprint);
        let definition = place.and_then(|place| self.inner.definitions.get(place));
        let damaged = |source: serde_json::Error| Error::Damaged {
            run: stored.run.clone(),
            source: source.into(),
        };
        let state = State::read(&stored)?;
        let Some(definition) = definition else {
            return Err(self.incompatible(&stored, &state));
        };
        let input = serde_json::from_str(&stored.input).map_err(damaged)?;
        let mut running = Running::new(definition, stored.run, stored.key, state, input);
        running.elapsed = stored.elapsed;
        Ok(running)
    }

    pub(crate) fn incompatible(&self, stored: &StoredRun, state: &State) -> Error {
        let steps: Vec<&str> = state.steps.iter().map(|step| &*step.name).collect();
        Error::Incompatible {
            saga: self.name().to_owned(),
            run: stored.run.clone(),
            key: stored.key.clone(),
            version: stored.version,
            steps: steps.join(", "),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.newest().shape().name
    }

    pub(crate) fn newest(&self) -> &Definition<I> {
        // The builder puts it there.
        &self.inner.definitions[0]
    }

    pub(crate) fn fingerprints(&self) -> &[Fingerprint] {
        &self.inner.fingerprints
    }

    pub(crate) fn store(&self) -> &S {
        &self.inner.store
    }

    pub(crate) fn outbox(&self) -> &O {
        &self.inner.outbox
    }
}

pub(crate) fn count_ends(saga: &'static str, status: Status) {
    if status.is_ended() {
        metrics::counter!("mainstay_saga_ended", "saga" => saga, "outcome" => status.as_str())
            .increment(1);
    }
}

impl<I, S: SagaStore, O> Clone for Orchestrator<I, S, O> {
    fn clone(&self) -> Self {
        let inner = Arc::clone(&self.inner);
        Self { inner }
    }
}

impl<I, S: SagaStore, O> fmt::Debug for Orchestrator<I, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orchestrator")
            .field("definitions", &self.inner.definitions)
            .finish_non_exhaustive()
    }
}
