//! What can go wrong with a database, by what the caller can do about it.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A database operation failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot be reached, or its connections are all taken; heals by itself.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
    /// The transaction lost against another one (serialization failure, deadlock, lock timeout, busy) and
    /// must be rolled back; run it again from its beginning.
    #[error("the transaction lost against a concurrent one; run it again")]
    Conflict(#[source] Source),
    /// The answer to a commit was lost: it may be applied, not applied, or applied later.
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] Source),
    /// The database cannot be opened: missing directory or privilege, wrong credentials, not a database.
    #[error("the database {what} cannot be opened")]
    CannotOpen {
        /// Which one: a path, or an address without credentials.
        what: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// The schema was written by a newer build than this one.
    #[error(
        "the schema of {component} is at version {found}, this build knows only {known}: run a newer build"
    )]
    NewerSchema {
        /// The crate or service that owns the schema.
        component: String,
        /// The version in the database.
        found: u32,
        /// The newest version this build knows.
        known: u32,
    },
    /// A migration that was applied before reads differently in this build.
    #[error("migration {version} of {component} was changed after it was applied")]
    ChangedMigration {
        /// The crate or service that owns the schema.
        component: String,
        /// The migration's version.
        version: u32,
    },
    /// A statement after an error in the same transaction, which can only be rolled back.
    #[error("the transaction was aborted by an earlier error and refuses further statements")]
    Aborted,
    /// Anything else: trying again will not help.
    #[error("the database refused the operation")]
    Failed(#[source] Source),
}

impl Error {
    /// Whether running the whole transaction again may succeed without anybody's doing.
    ///
    /// After [`OutcomeUnknown`](Self::OutcomeUnknown) this is so only for transactions whose repetition is
    /// harmless: those that carry an inbox mark or an deduplication key.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Conflict(_) | Self::OutcomeUnknown(_)
        )
    }
}
