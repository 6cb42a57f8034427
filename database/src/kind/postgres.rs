//! The driver's errors, as PostgreSQL means them.

use sqlx::postgres::PgDatabaseError;

use crate::{ErrorKind, postgres};

pub(crate) use crate::postgres::advice;

/// The kind of a `sqlx::Error`, unless another database has answered it or it is not one.
pub(super) fn kind_of(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let error = error.downcast_ref::<sqlx::Error>()?;
    match error {
        sqlx::Error::RowNotFound => None,
        sqlx::Error::Database(answer) => {
            answer.try_downcast_ref::<PgDatabaseError>()?;
            Some(postgres::kind_of(error))
        }
        _ => Some(postgres::kind_of(error)),
    }
}
