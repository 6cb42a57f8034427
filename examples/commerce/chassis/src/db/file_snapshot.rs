//! Read-only snapshots of a deployment's SQLite files.

use std::{error::Error as StdError, path::Path, time::Duration};

use mainstay_database::Error as DatabaseError;
use sqlx::{
    ConnectOptions, Connection as _, Executor as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::{Error, Result};

/// Why a file that a service creates cannot be opened.
pub(super) const MISSING: &str =
    "the file does not exist; is this the data directory, and was the service ever started?";

/// A file, in one snapshot that starts with the first read.
#[derive(Debug)]
pub struct FileSnapshot {
    name: String,
    connection: SqliteConnection,
}

impl FileSnapshot {
    /// Opens `NAME.db`. The connection is not read-only, because SQLite recovers the write-ahead
    /// log of a killed process when it opens the file. Nothing else is written.
    ///
    /// # Errors
    /// The file does not exist, or is not a database.
    pub async fn open(data: &Path, name: &str) -> Result<Self> {
        Self::find(data, name).await?.ok_or_else(|| {
            let path = data.join(format!("{name}.db"));
            cannot_open(&path, MISSING).into()
        })
    }

    /// The same; none = the file does not exist.
    pub(crate) async fn find(data: &Path, name: &str) -> Result<Option<Self>> {
        let path = data.join(format!("{name}.db"));
        if !path.is_file() {
            return Ok(None);
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(10))
            .optimize_on_close(false, None)
            .pragma("query_only", "ON");
        let wrong = |error: sqlx::Error| cannot_open(&path, error);
        let mut connection = options.connect().await.map_err(wrong)?;
        connection.execute("BEGIN").await.map_err(wrong)?;
        Ok(Some(Self {
            name: format!("{name}.db"),
            connection,
        }))
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

    /// All rows of a query for `$1` and so on.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub(crate) async fn all_of<T>(
        &mut self,
        query: &'static str,
        parameters: &[Option<&str>],
    ) -> Result<Vec<T>>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, SqliteRow>,
    {
        let mut query = sqlx::query_as(query);
        for parameter in parameters {
            query = query.bind(*parameter);
        }
        query
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

fn cannot_open(path: &Path, why: impl Into<Box<dyn StdError + Send + Sync>>) -> DatabaseError {
    DatabaseError::CannotOpen {
        what: path.display().to_string(),
        source: why.into(),
    }
}
