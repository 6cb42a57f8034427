//! What can go wrong in a service, by what its caller can do.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A service could not do what it was asked.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database.
    #[error("{0}")]
    Database(#[from] mainstay_database::Error),
    /// The outbox.
    #[error("{0}")]
    Outbox(#[from] mainstay_outbox::Error),
    /// The inbox.
    #[error("{0}")]
    Inbox(#[from] mainstay_inbox::Error),
    /// The broker.
    #[error("{0}")]
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
    /// A setting makes no sense in this build, or none at all.
    #[error("{what}")]
    Setting {
        /// Which, and what is expected.
        what: &'static str,
    },
    /// A deployment's database that somebody looks at cannot be read.
    #[error("{what} cannot be read")]
    Unreadable {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// A service's database was used with another log than the one that it is started with.
    #[error(
        "this database belongs to another log: the one of {service} to {its}, and {found}. {changed}; {remedy}"
    )]
    AnotherLog {
        /// Whose database it is.
        service: &'static str,
        /// The end of its log's id.
        its: String,
        /// Where the other log lies, and the end of that log's id.
        found: String,
        /// What was done before that was noticed.
        changed: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A write that had to touch rows did not find them as they had been read. What a transaction reads to change it, it
    /// locks, so somebody's hand was in it.
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
    /// A row that was to be new is there: another transaction wrote it since this one looked. Run it again, and it
    /// will see the row.
    #[must_use]
    pub fn taken(what: &'static str) -> Self {
        Self::Database(mainstay_database::Error::Conflict(Taken(what).into()))
    }

    /// Something stored or received does not read as what it should be.
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

    /// Whether the same call may succeed later without anybody's doing.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Outbox(error) => error.is_retryable(),
            Self::Inbox(error) => error.is_retryable(),
            Self::Broker(error) => error.is_retryable(),
            Self::Changed { .. } | Self::NotCommitted => true,
            Self::Damaged { .. }
            | Self::Setting { .. }
            | Self::Unreadable { .. }
            | Self::AnotherLog { .. }
            | Self::Ended => false,
        }
    }
}

#[derive(thiserror::Error, Debug)]
#[error("another transaction wrote {0} in the meantime")]
struct Taken(&'static str);
