//! Read-only snapshots of a deployment's databases on a server.

use mainstay_database::Error as DatabaseError;
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgRow},
};

use crate::{Error, Result};

/// A service's database, in one snapshot that starts with the first read.
#[derive(Debug)]
pub struct Snapshot {
    name: String,
    connection: PgConnection,
}

impl Snapshot {
    pub(super) async fn open(name: String, options: &PgConnectOptions) -> Result<Self> {
        let cannot_open = |error: sqlx::Error| DatabaseError::CannotOpen {
            what: name.clone(),
            source: error.into(),
        };
        let mut connection = options.connect().await.map_err(cannot_open)?;
        connection
            .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(cannot_open)?;
        Ok(Self { name, connection })
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// [`Error::Unreadable`] names the database.
    pub async fn all<T>(&mut self, query: &'static str) -> Result<Vec<T>>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, PgRow>,
    {
        sqlx::query_as(query)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| Error::unreadable(&self.name, error))
    }

    /// Closes the connection.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub async fn close(self) -> Result<()> {
        self.connection
            .close()
            .await
            .map_err(|error| Error::unreadable(&self.name, error))
    }
}
