//! Errors, grouped by what the caller can do.

use std::error::Error as StdError;

use mainstay_inbox::HandlerError;
use mainstay_messaging::{InvalidName, event::DecodeError};

use crate::{RunId, state::Status};

/// An operation of a saga failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database failed; [`mainstay_database::Error`] says what to do.
    #[error("the database operation on sagas failed: {0}")]
    Database(#[from] mainstay_database::Error),
    /// The outbox refused a command or a reply; nothing was sent.
    #[error("a message of the saga could not be put into the outbox: {0}")]
    Outbox(#[from] mainstay_outbox::Error),
    /// The run was started by a definition that this build does not have. It is left untouched.
    #[error(
        "run {run} of saga {saga} (key {key:?}) was started by version {version} with the steps \
         [{steps}], which this build does not have; deploy it with that definition, by \
         `OrchestratorBuilder::older`"
    )]
    Incompatible {
        /// The saga's name.
        saga: String,
        /// The run.
        run: RunId,
        /// Its business key.
        key: String,
        /// The version of its definition.
        version: u32,
        /// The names of its steps.
        steps: String,
    },
    /// The run was saved by a newer build of this crate. It is left untouched.
    #[error(
        "run {run} (key {key:?}) was saved by a newer build, in a form that this one cannot read; \
         let the newer build go on with it"
    )]
    NewerState {
        /// The run.
        run: RunId,
        /// Its business key.
        key: String,
    },
    /// Live runs need definitions that this build does not have.
    #[error("this build cannot continue {runs} live runs of saga {saga}: {details}")]
    LiveRuns {
        /// The saga's name.
        saga: String,
        /// How many, up to 10,000 for each definition.
        runs: u64,
        /// By definition, with an example of each.
        details: String,
    },
    /// A local step has no handler.
    #[error(
        "the local step {kind} of saga {saga} has no handler; register one with `OrchestratorBuilder::local`"
    )]
    NoLocalHandler {
        /// The saga's name.
        saga: &'static str,
        /// The kind of the command or undo.
        kind: &'static str,
    },
    /// A local step or an observer failed. The transaction must be rolled back.
    #[error("{what} failed: {failure}")]
    Handler {
        /// Which one.
        what: String,
        /// What it returned.
        failure: HandlerError,
    },
    /// A reply, command or result cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A command, result or input cannot be written as JSON, or an input cannot be read.
    #[error("the input, a command or a result of the saga is not the JSON of its type: {0}")]
    Json(#[from] serde_json::Error),
    /// A step needs the result of one that has none: its handle belongs to another saga.
    #[error(
        "the step needs the result of {step}, which has none; use handles of the same saga only"
    )]
    NoResult {
        /// The kind of the step that has no result.
        step: &'static str,
    },
    /// A step that has no undo was to be undone.
    #[error("the step {step} has no undo")]
    NoUndo {
        /// The kind of the step.
        step: &'static str,
    },
    /// The state is of another definition.
    #[error("the definition has no step at place {step}")]
    NoStep {
        /// The place.
        step: usize,
    },
    /// The code of a definition, a local step or an observer panicked.
    #[error("the code of the saga panicked: {0}")]
    Panicked(String),
    /// A business key, step name or topic is no valid name.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// There is no such run, or its retention has ended.
    #[error("there is no run {0}; list the runs to find its id")]
    NotFound(RunId),
    /// The act does not apply to the state that the run is in.
    #[error("run {run} is {status}; the act needs it to be {needed}")]
    WrongState {
        /// Which run.
        run: RunId,
        /// What it is.
        status: Status,
        /// What the act needs.
        needed: &'static str,
    },
    /// The run has no such step that is in flight.
    #[error("run {run} has no step {step:?} that is in flight; look at its timeline")]
    NotInFlight {
        /// Which run.
        run: RunId,
        /// The step that was named.
        step: String,
    },
    /// An act needs to say who does it, and why.
    #[error("an operator's act needs {0}; the journal records it")]
    Unsigned(&'static str),
    /// A stored row is not what this crate writes.
    #[error("run {run} is damaged in the database: {source}")]
    Damaged {
        /// Which run.
        run: RunId,
        /// What is wrong.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// Whether the same call in a new transaction may succeed later without anyone's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Outbox(error) => error.is_retryable(),
            Self::Handler { failure, .. } => !failure.is_permanent(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use mainstay_database::{Error as DatabaseError, ErrorKind};

    use super::*;

    #[test]
    fn what_to_do_about_a_database_error_is_found_among_the_sources() {
        let away = DatabaseError::Unavailable(io::Error::other("it is away").into());
        let error = io::Error::other(Error::from(away));
        assert_eq!(ErrorKind::of(&error), Some(ErrorKind::Unavailable));
    }
}
