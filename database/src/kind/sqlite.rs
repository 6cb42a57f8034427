//! The driver's errors, as SQLite means them.

use sqlx::sqlite::SqliteError;

use crate::{ErrorKind, sqlite};

/// The kind of a `sqlx::Error`, unless another database has answered it or it is not one.
pub(super) fn kind_of(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let error = error.downcast_ref::<sqlx::Error>()?;
    match error {
        sqlx::Error::RowNotFound => None,
        sqlx::Error::Database(answer) => {
            answer.try_downcast_ref::<SqliteError>()?;
            Some(sqlite::kind_of(error))
        }
        _ => Some(sqlite::kind_of(error)),
    }
}
