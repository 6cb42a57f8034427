//! SQL errors of handlers, and schemas that another tool has made.

use std::time::Duration;

use mainstay_database::sqlite::Database;
use mainstay_inbox::{
    HandlerError, Received, SqliteInbox, Worker, conformance::Fixture as _, sqlite::MIGRATIONS,
};
use mainstay_messaging::Publisher as _;
use sqlx::{
    ConnectOptions as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use super::{execute, fixture};
use crate::named::{Named, group, message, topic};

async fn insert(connection: &mut SqliteConnection) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO invoices VALUES ('17')")
        .execute(connection)
        .await?;
    Ok(())
}

async fn look(connection: &mut SqliteConnection) -> Result<(), HandlerError> {
    sqlx::query("SELECT id FROM invoices WHERE id = 'none'")
        .fetch_one(connection)
        .await?;
    Ok(())
}

#[tokio::test]
async fn sql_errors_are_classified_by_what_heals() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("service.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_millis(1));
    let mut one = options.connect().await.unwrap();
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE invoices (id TEXT PRIMARY KEY); BEGIN IMMEDIATE")
        .execute(&mut one)
        .await
        .unwrap();
    let busy = insert(&mut other).await.unwrap_err();
    assert!(!busy.counts_attempt(), "{busy}");
    insert(&mut one).await.unwrap();
    let violated = insert(&mut one).await.unwrap_err();
    assert!(
        violated.counts_attempt() && !violated.is_permanent(),
        "{violated}"
    );
    assert!(
        violated.to_string().contains("UNIQUE constraint failed"),
        "{violated}"
    );
    let missing = look(&mut one).await.unwrap_err();
    assert!(
        missing.counts_attempt() && !missing.is_permanent(),
        "{missing}"
    );
}

/// The row of `child` needs that of `parent`.
async fn insert_named(
    connection: &mut SqliteConnection,
    received: Received<Named>,
) -> Result<(), HandlerError> {
    let insert = if received.event.name.starts_with("child") {
        "INSERT INTO children (parent) VALUES ('parent')"
    } else {
        "INSERT INTO parents (name) VALUES ('parent')"
    };
    sqlx::query(insert).execute(connection).await?;
    Ok(())
}

/// Order holds per key only, so the row that a foreign key needs may come later.
#[tokio::test]
async fn a_violated_foreign_key_heals_once_a_message_of_another_key_brings_the_row() {
    let f = fixture().await;
    for table in [
        "CREATE TABLE parents (name TEXT PRIMARY KEY) STRICT",
        "CREATE TABLE children (parent TEXT NOT NULL REFERENCES parents) STRICT",
    ] {
        execute(&f.database, table).await;
    }
    f.create_topic(&topic(), 1).await;
    let messages = [message("child", 0), message("parent", 0)];
    for answer in f.publisher().publish(&messages).await {
        assert!(answer.is_acknowledged(), "{answer:?}");
    }
    let consumer = f.consumer(&group(), &topic()).await;
    let worker = Worker::new(f.inbox(), consumer).on(insert_named).spawn();
    let all_committed = async {
        while !f
            .progress(&group())
            .await
            .iter()
            .any(|(_, committed, _)| *committed == 2)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), all_committed).await;
    assert!(waited.is_ok(), "{:?}", worker.status());
    assert!(worker.status().is_healthy(), "{:?}", worker.status());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_inbox_opens_on_a_schema_that_another_tool_has_made() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("service.db"))
        .await
        .unwrap();
    let namespace = mainstay_database::Namespace::prefixed("billing_").unwrap();
    let builder = SqliteInbox::builder(&database).namespace(namespace.clone());
    let error = builder.clone().open_without_migrating().await.unwrap_err();
    assert!(error.to_string().contains("run its migrations"), "{error}");
    for (_, sql) in MIGRATIONS.sql(&namespace) {
        let mut tx = database.begin().await.unwrap();
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        sql.execute(&mut *tx).await.unwrap();
        database.commit(tx).await.unwrap();
    }
    builder.clone().open_without_migrating().await.unwrap();
    // `open` finds the migrations done.
    builder.open().await.unwrap();
}
