//! The identity of a log.

use mainstay_clock::IdGenerator;
use mainstay_database::sqlite::Database;
use uuid::Uuid;

use super::{driver, sort, statements::Statements};
use crate::Error;

/// The id of the log, drawn if it has none yet. Processes that open a new log at once get one id.
pub(super) async fn establish(
    database: &Database,
    statements: &Statements,
    ids: &dyn IdGenerator,
) -> Result<Uuid, Error> {
    // It never changes: reading it first avoids a wait for writers.
    let there: Option<String> = sqlx::query_scalar(statements.identity.clone())
        .fetch_optional(database.reader())
        .await
        .map_err(driver)?;
    let id = match there {
        Some(id) => id,
        None => draw(database, statements, ids).await?,
    };
    id.parse()
        .map_err(|error: uuid::Error| Error::Refused(error.into()))
}

/// Draws an id, and returns the stored one: this one or another process's.
async fn draw(
    database: &Database,
    statements: &Statements,
    ids: &dyn IdGenerator,
) -> Result<String, Error> {
    let mut tx = database.begin().await.map_err(sort)?;
    sqlx::query(statements.identify.clone())
        .bind(ids.uuid().to_string())
        .execute(&mut *tx)
        .await
        .map_err(driver)?;
    let id = sqlx::query_scalar(statements.identity.clone())
        .fetch_one(&mut *tx)
        .await
        .map_err(driver)?;
    database.commit(tx).await.map_err(sort)?;
    Ok(id)
}
