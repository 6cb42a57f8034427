//! Why a role or an observer could not go on.

/// Why a role or an observer could not go on.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
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
    /// The broker.
    #[error(transparent)]
    Broker(#[from] mainstay_messaging::Error),
    /// A statement of this crate.
    #[error(transparent)]
    Statement(#[from] sqlx::Error),
    /// A process.
    #[error("{what}")]
    #[non_exhaustive]
    Process {
        /// What could not be done to it, or how it ended.
        what: String,
        /// Why.
        #[source]
        source: Option<std::io::Error>,
    },
    /// What was read is nothing that a role writes.
    #[error("{0} is nothing that a role writes")]
    Unreadable(String),
}

impl Failure {
    pub(crate) fn process(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Process {
            what: what.into(),
            source: Some(source),
        }
    }

    /// Whether waiting may heal it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Outbox(error) => error.is_retryable(),
            Self::Inbox(error) => error.is_retryable(),
            Self::Broker(error) => error.is_retryable(),
            _ => false,
        }
    }
}
