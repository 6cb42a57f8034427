//! SQLite: the suite, and what is particular to a file.
#![expect(clippy::unwrap_used, reason = "tests")]

#[cfg(feature = "conformance")]
mod conformance;
mod faults;
mod migrations;
mod open;

use std::time::Duration;

use mainstay_database::{
    Error,
    sqlite::{Database, Synchronous, classify, sqlx},
};
use tempfile::TempDir;

/// A new file with an empty table `number (key, value)`; it lives as long as the directory.
async fn database() -> (Database, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("data.db"))
        .await
        .unwrap();
    let mut tx = database.begin().await.unwrap();
    let create = "CREATE TABLE number (key INTEGER PRIMARY KEY, value ANY NOT NULL) STRICT";
    sqlx::query(create).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
    (database, directory)
}

async fn insert(on: &mut sqlx::SqliteConnection, key: u32, value: i64) -> Result<(), Error> {
    let insert = sqlx::query("INSERT INTO number (key, value) VALUES ($1, $2)");
    let inserted = insert.bind(key).bind(value).execute(on).await;
    inserted.map(|_| ()).map_err(classify)
}

async fn keys(database: &Database) -> Vec<u32> {
    let keys = sqlx::query_scalar("SELECT key FROM number ORDER BY key");
    keys.fetch_all(database.reader()).await.unwrap()
}

/// The text of an error and of everything under it.
fn report(error: &dyn std::error::Error) -> String {
    let mut report = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        report = format!("{report}: {error}");
        source = error.source();
    }
    report
}
