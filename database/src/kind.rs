//! What a caller can do about a database error, wherever it is in a chain of errors.

use crate::Error;

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
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            match error.downcast_ref::<sqlx::Error>() {
                Some(sqlx::Error::RowNotFound) => return None,
                Some(error) => return Some(of_driver(error)),
                None => {}
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

#[cfg(any(feature = "postgres", feature = "sqlite"))]
fn of_driver(error: &sqlx::Error) -> ErrorKind {
    #[cfg(feature = "sqlite")]
    if error.as_database_error().is_some_and(|answer| {
        answer
            .try_downcast_ref::<sqlx::sqlite::SqliteError>()
            .is_some()
    }) {
        return crate::sqlite::kind_of(error);
    }
    #[cfg(feature = "postgres")]
    return crate::postgres::kind_of(error);
    #[cfg(not(feature = "postgres"))]
    crate::sqlite::kind_of(error)
}
