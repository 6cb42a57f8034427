//! Opening the files of a deployment to look at them.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions,
};

use crate::error::Failure;

/// A file, in one snapshot from the first read on.
pub(crate) struct File {
    name: String,
    connection: SqliteConnection,
}

impl File {
    /// Opens `NAME.db`. Not read-only: what a killed process left in the write-ahead log is brought in by whoever
    /// opens the file next. Nothing else is written.
    pub(crate) async fn open(data: &Path, name: &str) -> Result<Self, Failure> {
        let path = data.join(format!("{name}.db"));
        if !path.is_file() {
            return Err(Failure::plain(format!(
                "cannot check: {} is not there",
                path.display()
            )));
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(10))
            .optimize_on_close(false, None)
            .pragma("query_only", "ON");
        let wrong = |error| Failure::new(format!("cannot check: {}", path.display()), &error);
        let mut connection = options.connect().await.map_err(wrong)?;
        connection.execute("BEGIN").await.map_err(wrong)?;
        Ok(Self {
            name: name.to_owned(),
            connection,
        })
    }

    /// All rows of a query.
    pub(crate) async fn all<T>(&mut self, query: &'static str) -> Result<Vec<T>, Failure>
    where
        T: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>,
    {
        sqlx::query_as(query)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| Failure::new(format!("cannot check: {}.db", self.name), &error))
    }

    pub(crate) async fn close(self) -> Result<(), Failure> {
        self.connection
            .close()
            .await
            .map_err(|error| Failure::new(format!("cannot check: {}.db", self.name), &error))
    }
}
