//! What can go wrong in a service, by what its caller can do.

use mainstay_inbox::HandlerError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A service could not do what it was asked.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database.
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
    /// Something stored or received does not read as what it should be.
    #[error("{what} cannot be read")]
    Damaged {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Source,
    },
    /// A write that had to touch rows did not find them all; another process was faster.
    #[error("{what} changed under the transaction")]
    Changed {
        /// What.
        what: &'static str,
    },
    /// The transaction that carried this request together with others was not committed, or nobody knows.
    #[error("no commit of the transaction was seen")]
    NotCommitted,
    /// The process was told to stop.
    #[error("a part of the service ended unexpectedly")]
    Ended,
}

impl Error {
    /// Something stored or received does not read as what it should be.
    pub fn damaged(what: &'static str, source: impl Into<Source>) -> Self {
        Self::Damaged {
            what,
            source: source.into(),
        }
    }

    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Outbox(error) => error.is_retryable(),
            Self::Inbox(error) => error.is_retryable(),
            Self::Broker(error) => error.is_retryable(),
            Self::Changed { .. } | Self::NotCommitted => true,
            Self::Damaged { .. } | Self::Ended => false,
        }
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        if error.is_retryable() {
            Self::retryable(error)
        } else {
            Self::permanent(error)
        }
    }
}
