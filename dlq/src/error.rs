//! What can go wrong, grouped by what the caller can do about it.

use std::error::Error as StdError;

use crate::letter::{DeadLetterId, State};

/// An operation of the dead letter queue failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database refused or did not answer; [`mainstay_database::Error`] says whether that heals
    /// by itself.
    #[error("the dead letter queue's database operation failed: {0}")]
    Database(#[from] mainstay_database::Error),
    /// The inbox beside the queue failed, or refuses how the replayer is set up.
    #[error("the inbox of the dead letter queue failed: {0}")]
    Inbox(#[from] mainstay_inbox::Error),
    /// The caller's transaction does not see commits of others. A message could then pass the dead
    /// letter of its key.
    #[error(
        "admission runs at isolation level {level:?}, but the dead letter queue needs READ COMMITTED; open the transaction with BEGIN ISOLATION LEVEL READ COMMITTED"
    )]
    Isolation {
        /// The level of the caller's transaction.
        level: String,
    },
    /// There is no dead letter with this id: it never existed, or its retention has ended.
    #[error("there is no dead letter {0}; list the queue to find its id")]
    NotFound(DeadLetterId),
    /// The act does not apply to the state that the message is in.
    #[error("message {id} is {state}; the act needs it to be {needed}")]
    WrongState {
        /// Which message.
        id: DeadLetterId,
        /// What it is.
        state: State,
        /// What the act needs.
        needed: &'static str,
    },
    /// Earlier messages of its key come first.
    #[error("message {id} is held behind dead letter {first}; replay that one, and it follows")]
    NotFirst {
        /// Which message.
        id: DeadLetterId,
        /// The dead letter of its key.
        first: DeadLetterId,
    },
    /// Another operator has edited the message since it was shown.
    #[error("message {id} is at revision {found}, not {expected}; look at it again and edit that")]
    Revised {
        /// Which message.
        id: DeadLetterId,
        /// The revision that the edit is based on.
        expected: u32,
        /// The revision in the queue.
        found: u32,
    },
    /// The edited message would not be what it must be.
    #[error("the edit of message {id} is refused: {source}")]
    InvalidEdit {
        /// Which message.
        id: DeadLetterId,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// An act needs to say who does it, and why.
    #[error("an operator's act needs {0}; the audit log records it")]
    Unsigned(&'static str),
    /// There is no such job.
    #[error("there is no job {0}")]
    NoJob(i64),
    /// A stored row is not what this crate writes.
    #[error("row {id} of the dead letter queue is damaged: {source}")]
    Damaged {
        /// Which row.
        id: i64,
        /// What is wrong.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// Whether the same call may succeed later by itself.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Inbox(error) => error.is_retryable(),
            Self::Isolation { .. }
            | Self::NotFound(_)
            | Self::WrongState { .. }
            | Self::NotFirst { .. }
            | Self::Revised { .. }
            | Self::InvalidEdit { .. }
            | Self::Unsigned(_)
            | Self::NoJob(_)
            | Self::Damaged { .. } => false,
        }
    }
}

/// For the worker, which knows the inbox's errors.
impl From<Error> for mainstay_inbox::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Database(error) => Self::Database(error),
            Error::Inbox(error) => error,
            other => Self::Database(mainstay_database::Error::Failed(other.into())),
        }
    }
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        // Many errors repeat their source's text.
        if !line.ends_with(&more) {
            line.push_str(": ");
            line.push_str(&more);
        }
        next = error.source();
    }
    line
}
