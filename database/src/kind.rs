//! What a caller can do about a database error, wherever it is in a chain of errors.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
mod postgres {
    pub(crate) const fn advice(_: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
        None
    }

    pub(super) const fn kind_of(_: &(dyn std::error::Error + 'static)) -> Option<super::ErrorKind> {
        None
    }
}
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(not(feature = "sqlite"))]
mod sqlite {
    pub(super) const fn kind_of(_: &(dyn std::error::Error + 'static)) -> Option<super::ErrorKind> {
        None
    }
}

use crate::Error;

pub(crate) use postgres::advice;

/// What a caller can do about an [`Error`], or about an error of the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an engine must act on each of them"
)]
pub enum ErrorKind {
    /// As [`Error::Unavailable`].
    Unavailable,
    /// As [`Error::Conflict`].
    Conflict,
    /// As [`Error::OutcomeUnknown`].
    OutcomeUnknown,
    /// As [`Error::Aborted`].
    Aborted,
    /// Trying again does not help.
    Final,
}

impl ErrorKind {
    /// The kind of the first database error among `error` and its sources; `None` if there is none.
    ///
    /// A database error is an [`Error`] or, with the feature of its database, a `sqlx::Error`.
    /// `sqlx::Error::RowNotFound` is not one: the database has answered.
    #[must_use]
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<Error>() {
                return Some(error.kind());
            }
            if let Some(kind) = postgres::kind_of(error).or_else(|| sqlite::kind_of(error)) {
                return Some(kind);
            }
            next = error.source();
        }
        None
    }

    /// Whether running the whole transaction again may succeed; see [`Error::is_retryable`].
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::Conflict | Self::OutcomeUnknown
        )
    }
}
