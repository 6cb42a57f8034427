//! PostgreSQL: the suite, and what is particular to a server.
#![expect(clippy::unwrap_used, reason = "tests")]

mod answers;
#[cfg(feature = "conformance")]
mod conformance;
mod connecting;
mod durations;
mod failures;
mod full_disk;
mod migrations;
mod stale;
mod urls;

use mainstay_database::{
    Error,
    postgres::{Builder, Database, NewPool, classify, sqlx},
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgConnection;

/// A new database with an empty table `number (key, value)`.
async fn database() -> Option<(Database, TestDatabase)> {
    database_with(|builder| builder).await
}

async fn database_with(
    settings: impl FnOnce(Builder<NewPool>) -> Builder<NewPool>,
) -> Option<(Database, TestDatabase)> {
    let server = Server::for_suite("database")?.database().await.unwrap();
    let database = settings(Database::builder(server.url()))
        .open()
        .await
        .unwrap();
    let mut tx = database.begin().await.unwrap();
    let create = "CREATE TABLE number (key BIGINT PRIMARY KEY, value BIGINT NOT NULL)";
    sqlx::query(create).execute(&mut *tx).await.unwrap();
    database.commit(tx).await.unwrap();
    Some((database, server))
}

async fn insert(on: &mut PgConnection, key: i64, value: i64) -> Result<(), Error> {
    let insert = sqlx::query("INSERT INTO number (key, value) VALUES ($1, $2)");
    let inserted = insert.bind(key).bind(value).execute(on).await;
    inserted.map(|_| ()).map_err(classify)
}

async fn keys(database: &Database) -> Vec<i64> {
    let keys = sqlx::query_scalar("SELECT key FROM number ORDER BY key");
    keys.fetch_all(database.pool()).await.unwrap()
}

async fn backend(on: &mut PgConnection) -> i32 {
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
    pid.fetch_one(on).await.unwrap()
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
