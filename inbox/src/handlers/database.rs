//! The database error in a chain of errors.

use std::error::Error;

/// What a database error in a chain means to the worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DatabaseFault {
    /// The database is away, or has no room or connection left.
    Unavailable,
    /// The transaction lost against another one.
    Conflict,
    /// The answer to a commit was lost.
    OutcomeUnknown,
    /// An earlier statement of the transaction failed.
    Aborted,
    /// Trying again will not help.
    Final,
}

impl DatabaseFault {
    /// The first database error of `error` and its sources: ours, or the driver's.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref() {
                return Some(Self::ours(error));
            }
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            if let Some(error) = error.downcast_ref() {
                return Self::of_driver(error);
            }
            next = error.source();
        }
        None
    }

    /// Whether running the whole transaction again may succeed without anybody's doing.
    pub(crate) const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::Conflict | Self::OutcomeUnknown
        )
    }

    const fn ours(error: &mainstay_database::Error) -> Self {
        use mainstay_database::Error;
        match error {
            Error::Unavailable(_) => Self::Unavailable,
            Error::Conflict(_) => Self::Conflict,
            Error::OutcomeUnknown(_) => Self::OutcomeUnknown,
            Error::Aborted => Self::Aborted,
            _ => Self::Final,
        }
    }
}
