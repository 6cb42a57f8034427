//! What can go wrong, grouped by what the caller can do about it.

use std::{error::Error as StdError, time::Duration};

/// An operation of the inbox failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database refused or did not answer; [`mainstay_database::Error`] says whether that heals
    /// by itself.
    #[error("the inbox's database operation failed: {0}")]
    Database(#[from] mainstay_database::Error),
    /// The broker has ended this consumer for good: start a new one, or act on what the broker
    /// says.
    #[error("the broker ended this consumer: {0}")]
    Broker(#[source] mainstay_messaging::Error),
    /// Two handlers were registered for one kind of event, and one of them would never run.
    #[error(
        "two handlers are registered for events of kind {kind}; keep one, or run the other in a worker of another consumer group"
    )]
    TwoHandlers {
        /// The kind that has two.
        kind: &'static str,
    },
    /// A handler may take longer than the database lets a transaction idle. Such a handler would
    /// lose its transaction each time, and no attempt would ever count.
    #[error(
        "handlers may take {deadline:?}, but the database ends transactions that idle for {limit:?}; lower handler_deadline or raise idle_in_transaction_timeout"
    )]
    DeadlineTooLong {
        /// [`Worker::handler_deadline`](crate::Worker::handler_deadline).
        deadline: Duration,
        /// [`Transactions::idle_limit`](mainstay_database::Transactions::idle_limit).
        limit: Duration,
    },
    /// With this setting the worker could do nothing.
    #[error("{setting} is {given:?}; set it to at least {least:?}")]
    TooShort {
        /// The setter's name.
        setting: &'static str,
        /// What it was set to.
        given: Duration,
        /// What it must be at least.
        least: Duration,
    },
    /// The [`FailurePolicy`](crate::failure::FailurePolicy) could not take a message over. The
    /// message stays unacknowledged, and the worker asks again.
    #[error("the failure policy could not take the message over: {0}")]
    FailurePolicy(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Whether the same call may succeed later by itself.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Broker(error) => error.is_retryable(),
            Self::FailurePolicy(_) => true,
            Self::TwoHandlers { .. } | Self::DeadlineTooLong { .. } | Self::TooShort { .. } => {
                false
            }
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
