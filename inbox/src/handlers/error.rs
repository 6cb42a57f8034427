//! How a handler fails.

use std::{error::Error, fmt};

type Source = Box<dyn Error + Send + Sync>;

/// A handler's failure, and whether trying again may help.
///
/// Everything that the handler wrote through its connection is rolled back, whatever the kind of failure.
#[derive(Debug)]
pub struct HandlerError {
    class: Class,
    source: Source,
    at: Option<usize>,
}

/// What is done about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// The database interrupted: tried again without counting.
    Interrupted,
    /// Tried again, and counted.
    Retryable,
    /// FailureOutcome at once.
    Permanent,
}

impl HandlerError {
    /// A failure that may heal: the message is tried again after a while, up to the worker's number of attempts.
    ///
    /// If the sources of `error` hold a [`mainstay_database::Error`] that is retryable (a lost connection, a serialization
    /// failure), the attempt does not count: nothing is wrong with the message. Errors of other mainstay crates carry theirs,
    /// so `map_err(HandlerError::retryable)` is right for an outbox too.
    #[must_use]
    pub fn retryable(error: impl Into<Source>) -> Self {
        let source = error.into();
        let class = if is_interrupted(&*source) {
            Class::Interrupted
        } else {
            Class::Retryable
        };
        Self {
            class,
            source,
            at: None,
        }
    }

    /// A failure that trying again will not heal: the message is parked at once.
    #[must_use]
    pub fn permanent(error: impl Into<Source>) -> Self {
        Self {
            class: Class::Permanent,
            source: error.into(),
            at: None,
        }
    }

    /// Names the event that failed, by its index in the slice that a batch handler was given.
    #[must_use]
    pub const fn at(mut self, index: usize) -> Self {
        self.at = Some(index);
        self
    }

    pub(crate) const fn class(&self) -> Class {
        self.class
    }

    pub(crate) const fn culprit(&self) -> Option<usize> {
        self.at
    }

    pub(crate) fn into_source(self) -> Source {
        self.source
    }
}

fn is_interrupted(error: &(dyn Error + 'static)) -> bool {
    database_error(error).is_some_and(mainstay_database::Error::is_retryable)
}

/// The database error among an error and its sources.
pub(crate) fn database_error<'a>(
    error: &'a (dyn Error + 'static),
) -> Option<&'a mainstay_database::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(database) = error.downcast_ref() {
            return Some(database);
        }
        next = error.source();
    }
    None
}

/// Retryable, without counting, if the database says so; else permanent.
impl From<mainstay_database::Error> for HandlerError {
    fn from(error: mainstay_database::Error) -> Self {
        if error.is_retryable() {
            Self::retryable(error)
        } else {
            Self::permanent(error)
        }
    }
}

/// As the database error within, if there is one.
impl From<crate::Error> for HandlerError {
    fn from(error: crate::Error) -> Self {
        if error.is_retryable() {
            Self::retryable(error)
        } else {
            Self::permanent(error)
        }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.class {
            Class::Interrupted => "the database interrupted the handler",
            Class::Retryable => "the handler failed and may be tried again",
            Class::Permanent => "the handler failed for good",
        })
    }
}

impl Error for HandlerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
