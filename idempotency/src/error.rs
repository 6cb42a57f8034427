//! What can go wrong, grouped by what the caller can do about it.

use crate::Key;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An operation on idempotency keys failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database refused or did not answer; [`mainstay_database::Error`] says whether that heals
    /// by itself. Roll back.
    #[error("the database operation on idempotency records failed: {0}")]
    Database(#[from] mainstay_database::Error),
    /// Another transaction completed the key first. Roll back and begin again, which replays its
    /// answer.
    #[error(
        "idempotency key {key}: another transaction completed it first; roll back and begin again"
    )]
    Conflict {
        /// Which key.
        key: Key,
    },
    /// The store of leases does not answer. It heals by itself.
    #[error("the store of idempotency leases is not available: {0}")]
    Unavailable(#[source] Source),
    /// The lease has ended or another caller has it. Nothing was written: discard the answer.
    #[error(
        "idempotency key {key}: the lease has ended or another caller has it; nothing was written, ask again"
    )]
    Fenced {
        /// Which key.
        key: Key,
    },
    /// The store may forget keys when its memory is full.
    #[error(
        "Redis evicts keys when its memory is full, and idempotency keys with them: maxmemory-policy is {policy}; set maxmemory-policy to noeviction"
    )]
    Evicting {
        /// The setting that was found.
        policy: String,
    },
    /// The store refused the operation. Trying again does not help.
    #[error("the store of idempotency keys refused the operation: {0}")]
    Refused(#[source] Source),
    /// A record cannot be read: it is damaged, or a newer build wrote it.
    #[error(
        "idempotency key {key}: its record cannot be read; run the newest build, or delete the record: {source}"
    )]
    Unreadable {
        /// Which key.
        key: Key,
        /// Why.
        source: Source,
    },
}

impl Error {
    /// Whether beginning the whole request again may succeed without anyone's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Conflict { .. } | Self::Unavailable(_) | Self::Fenced { .. } => true,
            Self::Evicting { .. } | Self::Refused(_) | Self::Unreadable { .. } => false,
        }
    }
}
