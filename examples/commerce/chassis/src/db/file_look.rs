//! Looking at an SQLite file of a deployment.

use std::{path::Path, time::Duration};

use mainstay_database::Error as DatabaseError;
use sqlx::{
    ConnectOptions, Connection as _, Executor as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::{Error, Result};

/// A file, in one snapshot from the first read on.
#[derive(Debug)]
pub struct FileLook {
    name: String,
    connection: SqliteConnection,
}

impl FileLook {
    /// Opens `NAME.db`. Not read-only: what a killed process left in the write-ahead log is brought in by whoever
    /// opens the file next. Nothing else is written.
    ///
    /// # Errors
    /// It is not there, or is no database.
    pub async fn open(data: &Path, name: &str) -> Result<Self> {
        let path = data.join(format!("{name}.db"));
        let cannot_open = |source| DatabaseError::CannotOpen {
            what: path.display().to_string(),
            source,
        };
        if !path.is_file() {
            return Err(cannot_open("it is not there".into()).into());
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(10))
            .optimize_on_close(false, None)
            .pragma("query_only", "ON");
        let wrong = |error: sqlx::Error| cannot_open(error.into());
        let mut connection = options.connect().await.map_err(wrong)?;
        connection.execute("BEGIN").await.map_err(wrong)?;
        Ok(Self {
            name: format!("{name}.db"),
            connection,
        })
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// [`Error::Unreadable`] names the file.
    pub async fn all<T>(&mut self, query: &'static str) -> Result<Vec<T>>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, SqliteRow>,
    {
        sqlx::query_as(query)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| Error::unreadable(&self.name, error))
    }

    /// Ends the look.
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
