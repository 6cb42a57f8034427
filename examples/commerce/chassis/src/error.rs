//! Errors of a service, grouped by what the caller can do.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A service could not do its work.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database failed.
    #[error("{0}")]
    Database(#[from] mainstay_database::Error),
    /// The outbox failed.
    #[error("{0}")]
    Outbox(#[from] mainstay_outbox::Error),
    /// The inbox failed.
    #[error("{0}")]
    Inbox(#[from] mainstay_inbox::Error),
    /// The dead letter queue failed, or refuses an act.
    #[error("{0}")]
    DeadLetters(#[from] mainstay_dlq::Error),
    /// The store of idempotency keys failed.
    #[error("{0}")]
    Keys(#[from] mainstay_idempotency::Error),
    /// A saga failed, or refuses an act.
    #[error("{0}")]
    Sagas(#[from] mainstay_saga::Error),
    /// A stream of events failed.
    #[error("{0}")]
    Streams(#[from] mainstay_eventstore::Error),
    /// A lock failed, or a former leader was refused.
    #[error("{0}")]
    Locks(#[from] mainstay_dlock::Error),
    /// The broker failed.
    #[error("{0}")]
    Broker(#[from] mainstay_messaging::Error),
    /// A stored or received value does not decode.
    #[error("{what} cannot be read")]
    Damaged {
        /// The value.
        what: &'static str,
        /// Why it does not decode.
        #[source]
        source: Source,
    },
    /// A setting is invalid, or invalid in this build.
    #[error("{what}")]
    Setting {
        /// The setting, and the values that are allowed.
        what: &'static str,
    },
    /// A database of the deployment cannot be read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// The database.
        what: String,
        /// The driver's error.
        #[source]
        source: Source,
    },
    /// A service's database is bound to another log than the one that the service is started with.
    #[error(
        "the database of the {service} service is bound to log {bound}, but {found}. {changed}; {remedy}"
    )]
    WrongLog {
        /// The service that owns the database.
        service: &'static str,
        /// The end of the id of the log that the database is bound to.
        bound: String,
        /// The log that was found, with the end of its id.
        found: String,
        /// What this start changed before the refusal.
        changed: &'static str,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// A write did not find all rows as the transaction had read them. The transaction locks these
    /// rows, so a person or another program changed them.
    #[error("{what} changed during the transaction that had locked it")]
    Changed {
        /// The rows.
        what: &'static str,
    },
}

impl Error {
    /// A stored or received value does not decode.
    pub fn damaged(what: &'static str, source: impl Into<Source>) -> Self {
        Self::Damaged {
            what,
            source: source.into(),
        }
    }

    pub(crate) fn unreadable(what: &str, source: impl Into<Source>) -> Self {
        Self::Unreadable {
            what: what.to_owned(),
            source: source.into(),
        }
    }

    /// Whether the same call may succeed later, without a repair.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Outbox(error) => error.is_retryable(),
            Self::Inbox(error) => error.is_retryable(),
            Self::DeadLetters(error) => error.is_retryable(),
            Self::Keys(error) => error.is_retryable(),
            Self::Locks(error) => error.is_retryable(),
            Self::Sagas(error) => error.is_retryable(),
            Self::Streams(error) => error.is_retryable(),
            Self::Broker(error) => error.is_retryable(),
            Self::Changed { .. } => true,
            Self::Damaged { .. }
            | Self::Setting { .. }
            | Self::Unreadable { .. }
            | Self::WrongLog { .. } => false,
        }
    }
}
