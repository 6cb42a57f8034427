//! Creates a missing database, or says which statement an administrator has to run.

use mainstay_database::Error as DatabaseError;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, postgres::PgConnectOptions,
};

use crate::Result;

/// Creates the database, connected to the one of the URL. Several processes may do so at once.
pub(super) async fn create(server: &PgConnectOptions, database: &str) -> Result<()> {
    let from = server.get_database().unwrap_or("postgres");
    let cannot_open = |why: String, error: sqlx::Error| DatabaseError::CannotOpen {
        what: database.to_owned(),
        source: Box::new(Refused { why, source: error }),
    };
    let no_connection =
        format!("it does not exist, and the connection to {from} that would create it failed");
    let mut connection = server
        .clone()
        .database(from)
        .connect()
        .await
        .map_err(|error| cannot_open(no_connection, error))?;
    // The name is checked: letters, digits and underscores.
    let created = connection
        .execute(AssertSqlSafe(format!("CREATE DATABASE {database}")))
        .await;
    let role = identifier(server.get_username());
    match created {
        // Another process created it in the meantime.
        Err(error) if !is_code(&error, &["42P04", "23505"]) => {
            let why = format!(
                "it does not exist and could not be created; have an administrator run: CREATE DATABASE {database} OWNER {role}"
            );
            Err(cannot_open(why, error).into())
        }
        _ => {
            // The database exists now, even if closing this connection fails.
            drop(connection.close().await);
            Ok(())
        }
    }
}

/// A name as SQL takes it.
fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A database could not be created.
#[derive(thiserror::Error, Debug)]
#[error("{why}")]
struct Refused {
    why: String,
    source: sqlx::Error,
}

/// Whether a database could not be opened because it does not exist.
pub(super) fn is_missing(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return is_code(error, &["3D000"]);
        }
        next = error.source();
    }
    false
}

fn is_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let answer = error.as_database_error();
    let code = answer.and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| codes.contains(&&*code))
}
