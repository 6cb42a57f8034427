//! What can go wrong with a database, by what the caller can do about it.

use std::fmt;

use crate::{ErrorKind, kind::advice};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A database operation failed.
///
/// The text includes the driver's; [`source`](std::error::Error::source) continues below it.
/// [`driver`](Self::driver) is the driver's own error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot be reached, or all its connections are in use. It heals by itself.
    Unavailable(Source),
    /// The transaction lost against a concurrent one (serialization failure, deadlock, lock
    /// timeout, busy file, a changed schema) and was rolled back. Run it again from its beginning.
    Conflict(Source),
    /// The answer to a commit was lost: the transaction may be applied, not applied, or applied
    /// later.
    OutcomeUnknown(Source),
    /// The database cannot be opened: missing directory or privilege, wrong credentials, not a
    /// database.
    CannotOpen {
        /// Which one: a path, or an address without credentials.
        what: String,
        /// Why.
        source: Source,
    },
    /// The schema was written by a newer build than this one.
    NewerSchema {
        /// The crate or service that owns the schema.
        component: String,
        /// The version in the database.
        found: u32,
        /// The newest version this build knows.
        known: u32,
    },
    /// The schema does not have what this build needs: its migrations were not run, or not all of
    /// them.
    MissingSchema {
        /// The crate or service that owns the schema.
        component: String,
        /// What the database says is missing.
        source: Source,
    },
    /// A migration that was applied before has another text in this build.
    ChangedMigration {
        /// The crate or service that owns the schema.
        component: String,
        /// The migration's version.
        version: u32,
    },
    /// An earlier statement of the transaction failed. The transaction can only be rolled back.
    Aborted,
    /// Anything else. Trying again does not help.
    Failed(Source),
}

impl Error {
    /// Whether running the whole transaction again may succeed without anyone's help.
    ///
    /// After [`OutcomeUnknown`](Self::OutcomeUnknown) this is safe only for transactions that may
    /// run twice: those that write an inbox's processed record or a deduplication key.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Conflict(_) => ErrorKind::Conflict,
            Self::OutcomeUnknown(_) => ErrorKind::OutcomeUnknown,
            Self::Aborted => ErrorKind::Aborted,
            Self::CannotOpen { .. }
            | Self::NewerSchema { .. }
            | Self::MissingSchema { .. }
            | Self::ChangedMigration { .. }
            | Self::Failed(_) => ErrorKind::Final,
        }
    }

    /// The error of the driver, such as `sqlx::Error`, to downcast.
    #[must_use]
    pub fn driver(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(source)
            | Self::Conflict(source)
            | Self::OutcomeUnknown(source)
            | Self::CannotOpen { source, .. }
            | Self::MissingSchema { source, .. }
            | Self::Failed(source) => Some(&**source),
            Self::NewerSchema { .. } | Self::ChangedMigration { .. } | Self::Aborted => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(source) => write!(f, "the database is not available: {source}"),
            Self::Conflict(source) => write!(
                f,
                "the transaction lost against a concurrent one, run it again: {source}"
            ),
            Self::OutcomeUnknown(source) => write!(
                f,
                "the answer to the commit was lost, it may or may not be applied: {source}"
            ),
            Self::CannotOpen { what, source } => {
                write!(f, "the database {what} cannot be opened: {source}")
            }
            Self::NewerSchema {
                component,
                found,
                known,
            } => write!(
                f,
                "the schema of {component} is at version {found}, this build knows only {known}: run a newer build"
            ),
            Self::MissingSchema { component, source } => write!(
                f,
                "the schema of {component} is missing or too old, run its migrations: {source}"
            ),
            Self::ChangedMigration { component, version } => write!(
                f,
                "migration {version} of {component} was changed after it was applied: restore its text, and put the \
                 change into a new migration"
            ),
            Self::Aborted => f.write_str(
                "an earlier statement of this transaction failed: roll back, and handle that statement's error",
            ),
            Self::Failed(source) => write!(f, "the database refused the operation: {source}"),
        }?;
        if let Some(advice) = self.driver().and_then(advice) {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.driver()?.source()
    }
}
