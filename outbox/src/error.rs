//! Errors, grouped by what the caller can do.

use std::time::Duration;

use mainstay_messaging::InvalidName;

/// An outbox operation failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database failed; [`mainstay_database::Error`] says what to do.
    #[error("the outbox's database operation failed: {0}")]
    Database(#[from] mainstay_database::Error),
    /// The message is larger than the configured limit. Nothing was written and the transaction is
    /// still usable.
    #[error(
        "a message of {size} bytes exceeds the outbox's limit of {limit} bytes; \
         make it smaller, or raise max_message_size if the broker takes larger messages"
    )]
    TooLarge {
        /// Size of the message in bytes.
        size: usize,
        /// The configured limit in bytes.
        limit: usize,
    },
    /// The event cannot be made into a message; [`mainstay_messaging::Error`] says why.
    #[error(transparent)]
    Event(mainstay_messaging::Error),
    /// The outbox was opened without a source, which every event needs.
    #[error(
        "the outbox has no source for its events; set one when opening it: \
         builder(&database).source(\"/orders\")"
    )]
    NoSource,
    /// A name given to the builder is invalid.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// With this setting the relay could publish nothing, or the outbox would check its connection
    /// without a pause.
    #[error("{setting} is {given:?}; set it to at least {least:?}")]
    TooShort {
        /// The setter's name.
        setting: &'static str,
        /// What it was set to.
        given: Duration,
        /// What it must be at least.
        least: Duration,
    },
    /// Another relay has taken over at least one shard. It may publish again what this one published.
    #[error("another relay has taken over a shard of this one: its fencing token is outdated")]
    Fenced,
    /// There is no row at this position of the deferred table: its message was published, discarded,
    /// or moved behind others of its key.
    #[error("no message is deferred at position {0}; list the deferred messages again")]
    NotDeferred(i64),
    /// The message is held behind the refused one of its key.
    #[error("the message at position {position} is held behind the one at {first}; retry that one")]
    HeldBehind {
        /// Its position.
        position: i64,
        /// The position of the first one of its key.
        first: i64,
    },
    /// An operator's act needs to say who does it, and why.
    #[error("an operator's act needs {0}, which is recorded")]
    Unsigned(&'static str),
    /// The schema was created with other settings.
    #[error(
        "the outbox was created with {stored} shards by {stored_hash}, and this process is \
         configured for {configured} shards by {configured_hash}; configure .shards({stored})"
    )]
    LayoutMismatch {
        /// Number of shards in the schema.
        stored: u16,
        /// Name of the hash in the schema.
        stored_hash: String,
        /// Number of shards this process is configured for.
        configured: u16,
        /// Name of this build's hash.
        configured_hash: &'static str,
    },
    /// The outbox was opened without migrating, and its schema is missing or incomplete.
    #[error(
        "the outbox's schema is incomplete: {missing} is missing; \
         run the crate's MIGRATIONS with your tool, or open the outbox with open()"
    )]
    MissingSchema {
        /// The first table or column that is missing.
        missing: String,
    },
}

impl Error {
    /// Whether the same call in a new transaction may succeed later without anyone's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Fenced => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use mainstay_database::{Error as DatabaseError, ErrorKind};

    use super::*;

    #[test]
    fn what_to_do_about_a_database_error_is_found_among_the_sources() {
        let away = DatabaseError::Unavailable(io::Error::other("it is away").into());
        let error = io::Error::other(Error::from(away));
        assert_eq!(ErrorKind::of(&error), Some(ErrorKind::Unavailable));
    }
}
