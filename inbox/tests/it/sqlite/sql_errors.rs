//! SQL errors of handlers, and schemas that another tool has made.

use std::time::Duration;

use mainstay_database::sqlite::Database;
use mainstay_inbox::{HandlerError, SqliteInbox, sqlite::MIGRATIONS};
use sqlx::{
    ConnectOptions as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

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
