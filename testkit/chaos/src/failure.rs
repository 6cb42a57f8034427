//! Why a role or an observer could not go on.

use std::fmt::Display;

/// Why a role or an observer could not go on.
#[derive(thiserror::Error, Debug)]
pub enum Failure {
    /// A database.
    #[error(transparent)]
    Database(#[from] mainstay_database::Error),
    /// The outbox.
    #[error(transparent)]
    Outbox(#[from] mainstay_outbox::Error),
    /// The inbox.
    #[error(transparent)]
    Inbox(#[from] mainstay_inbox::Error),
    /// The dead letter queue.
    #[error(transparent)]
    DeadLetters(#[from] mainstay_dlq::Error),
    /// Idempotency keys.
    #[error(transparent)]
    Idempotency(#[from] mainstay_idempotency::Error),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] mainstay_messaging::Error),
    /// A statement of this crate.
    #[error(transparent)]
    Statement(#[from] sqlx::Error),
    /// Anything else, which no waiting heals.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// Says at what an error was met.
    pub(crate) fn at<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self::Other(format!("{what}: {error}"))
    }

    /// Whether waiting may heal it.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Outbox(error) => error.is_retryable(),
            Self::Inbox(error) => error.is_retryable(),
            Self::DeadLetters(error) => error.is_retryable(),
            Self::Idempotency(error) => error.is_retryable(),
            Self::Broker(error) => error.is_retryable(),
            Self::Statement(_) | Self::Other(_) => false,
        }
    }
}
