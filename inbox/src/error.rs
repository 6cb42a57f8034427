//! What can go wrong, by what the caller can do about it.

use std::time::Duration;

/// An operation of the inbox failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database did not do it; see [`mainstay_database::Error`] for whether it heals.
    #[error("the inbox could not use its database")]
    Database(#[from] mainstay_database::Error),
    /// The broker ended this member for good; an operator or a new member has to go on.
    #[error("the broker ended this consumer")]
    Broker(#[source] mainstay_messaging::Error),
    /// Two handlers were registered for one kind of event: one of them would never run.
    #[error("two handlers for events of kind {kind}; two effects of one event are two consumers")]
    TwoHandlers {
        /// The kind that has two.
        kind: &'static str,
    },
    /// A handler may take longer than the database lets a transaction lie idle: such a handler would lose its transaction
    /// each time, and no attempt would ever count.
    #[error(
        "handlers may take {deadline:?}, but the database ends transactions that lie idle for {limit:?}: let them take less"
    )]
    DeadlineTooLong {
        /// [`Worker::handler_deadline`](crate::Worker::handler_deadline).
        deadline: Duration,
        /// [`Transactions::idle_limit`](mainstay_database::Transactions::idle_limit).
        limit: Duration,
    },
    /// What cannot be handled could not be kept aside either; it is not acknowledged.
    #[error("the message could not be parked")]
    FailurePolicy(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Broker(error) => error.is_retryable(),
            Self::FailurePolicy(_) => true,
            Self::TwoHandlers { .. } | Self::DeadlineTooLong { .. } => false,
        }
    }
}
