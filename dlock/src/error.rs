//! Errors, grouped by what the caller can do.

use std::time::Duration;

use crate::FencingToken;

/// An error of a driver.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// An operation on a lock failed.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// Another owner kept the lock until the deadline of the call. Try again later.
    #[error("lock {name:?} was held by another owner for {waited:?}; try again later")]
    Held {
        /// The lock.
        name: String,
        /// How long the call waited.
        waited: Duration,
    },
    /// The lease of this holder has ended. Stop, and acquire the lock again to continue.
    #[error("the lease of lock {name:?} has ended; acquire it again to continue")]
    Lost {
        /// The lock.
        name: String,
    },
    /// The guarded resource has seen a newer holder. Roll back: what this transaction wrote must not be committed.
    #[error(
        "lock {name:?}: fencing token {token} is refused, {seen} was seen before; \
         roll back, and acquire the lock again to continue"
    )]
    Fenced {
        /// The lock.
        name: String,
        /// The token that was refused.
        token: FencingToken,
        /// The newest token that the resource has seen.
        seen: FencingToken,
    },
    /// The name cannot be used for a lock.
    #[error("{name:?} cannot name a lock: {why}")]
    InvalidName {
        /// The name, or its beginning.
        name: String,
        /// What to change.
        why: &'static str,
    },
    /// The database failed; [`mainstay_database::Error`] says what to do.
    #[error("the database operation on locks failed: {0}")]
    Database(#[from] mainstay_database::Error),
    /// Redis cannot be reached, or gave no answer in time. It heals by itself.
    #[error("the store of leases is not available: {0}")]
    Unavailable(Source),
    /// Redis refused a command. Trying again does not help.
    #[error("the store of leases refused the operation: {0}")]
    Refused(Source),
    /// Redis may remove leases before they end.
    #[error(
        "Redis may evict locks: its maxmemory-policy is {policy}; set maxmemory-policy to noeviction, \
         or use another Redis for locks"
    )]
    Evicts {
        /// The value of `maxmemory-policy`.
        policy: String,
    },
}

impl Error {
    /// Whether acquiring the lock again may succeed later without anyone's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Held { .. } | Self::Lost { .. } | Self::Fenced { .. } | Self::Unavailable(_) => {
                true
            }
            Self::InvalidName { .. } | Self::Refused(_) | Self::Evicts { .. } => false,
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
