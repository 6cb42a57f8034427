//! What else is written when a run changes.

use std::fmt;

use async_trait::async_trait;
use mainstay_inbox::HandlerError;
use mainstay_messaging::Cause;

use crate::{
    Command, Error, RunId,
    definition::Results,
    journal::Entry,
    saga::StepRef,
    state::{State, Status},
};

/// Writes something with each transition of a run, in its transaction: an order's history,
/// integration events through the outbox, events of an aggregate.
///
/// ```
/// # use mainstay_saga::{Observer, Transition, inbox::HandlerError};
/// # use mainstay_saga::database::memory::Connection;
/// struct History;
///
/// #[async_trait::async_trait]
/// impl<I: Sync> Observer<I, Connection> for History {
///     async fn observe(&self, tx: &mut Connection, transition: &Transition<'_, I>) -> Result<(), HandlerError> {
///         if transition.after.is_ended() {
///             // … write, through `tx` …
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Observer<I, C: Send>: Send + Sync + 'static {
    /// Called once per transition, behind the write of the run.
    ///
    /// # Errors
    /// The transition is rolled back with all that it wrote, and its cause is tried again.
    ///
    /// # Cancel safety
    /// Dropping the future rolls the transition back.
    async fn observe(
        &self,
        connection: &mut C,
        transition: &Transition<'_, I>,
    ) -> Result<(), HandlerError>;

    /// Called once per transaction, with the transitions of all runs that it changes: at most one of
    /// each run, in no order that means anything. The default gives them to
    /// [`observe`](Self::observe), one after another, each within its cause.
    ///
    /// Write it where a statement for all of them saves one for each. What it emits has no cause of
    /// its own: use [`Transition::cause`].
    ///
    /// # Errors
    /// The transaction is rolled back. The worker tries again with fewer transitions, until it has
    /// found the one that fails.
    ///
    /// # Cancel safety
    /// As [`observe`](Self::observe).
    async fn observe_batch(
        &self,
        connection: &mut C,
        transitions: &[Transition<'_, I>],
    ) -> Result<(), HandlerError>
    where
        I: Sync,
    {
        for transition in transitions {
            let observing = self.observe(connection, transition);
            transition.cause.clone().scope(observing).await?;
        }
        Ok(())
    }
}

/// A change of a run.
#[non_exhaustive]
pub struct Transition<'a, I> {
    /// The saga's name.
    pub saga: &'static str,
    /// The version of the run's definition.
    pub version: u32,
    /// The run.
    pub run: &'a RunId,
    /// Its business key.
    pub key: &'a str,
    /// Its input.
    pub input: &'a I,
    /// Its status before; none: it begins.
    pub before: Option<Status>,
    /// Its status now.
    pub after: Status,
    /// What happened, in order.
    pub journal: &'a [Entry],
    /// Everything that is known of the run.
    pub state: &'a State,
    /// The reply that it follows from, or the request that starts the run; the default behind a timer.
    pub cause: &'a Cause,
}

impl<I> Transition<'_, I> {
    /// The result of a step, if it has one. Take the handle of the run's own definition.
    ///
    /// # Errors
    /// [`Error::Decode`] if the handle is of another definition.
    pub fn result<C: Command>(&self, step: StepRef<C>) -> Result<Option<C::Done>, Error> {
        match Results(self.state).get(step) {
            Ok(result) => Ok(Some(result)),
            Err(Error::NoResult { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<I> fmt::Debug for Transition<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transition")
            .field("saga", &self.saga)
            .field("run", &self.run)
            .field("key", &self.key)
            .field("before", &self.before)
            .field("after", &self.after)
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}
