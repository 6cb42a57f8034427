//! The service has the least privileges; the whole suite runs with them.

use futures_util::future::join_all;
use mainstay_database::{Namespace, postgres::statement};
use mainstay_idempotency::postgres::{MIGRATIONS, roles};

use super::{fixture, namespace};

#[tokio::test]
async fn the_service_cannot_change_keys_or_schema() {
    let Some(f) = fixture().await else { return };
    // If the schema is up to date, this only reads.
    super::builder(&f.database).open().await.unwrap();
    for refused in [
        "UPDATE sales.shop_idempotency_records SET key = 'other'",
        "UPDATE sales.shop_idempotency_records SET tenant = 'other'",
        "TRUNCATE sales.shop_idempotency_records",
        "DROP TABLE sales.shop_idempotency_records",
        "INSERT INTO sales.shop_idempotency_schema VALUES (9, 'x', 0)",
        "CREATE TABLE sales.more (id BIGINT)",
    ] {
        let answer = sqlx::query(refused).execute(f.database.pool()).await;
        let code = answer.unwrap_err().into_database_error().unwrap();
        assert_eq!(code.code().unwrap(), "42501", "{refused}");
    }
}

/// Like processes that migrate when they start.
#[tokio::test]
async fn several_sessions_can_grant_at_once() {
    let Some(f) = fixture().await else { return };
    let granting = (0..8).map(|_| sqlx::raw_sql(roles(&namespace())).execute(&f.owner));
    for outcome in join_all(granting).await {
        outcome.unwrap();
    }
}

/// Such a tool keeps a record of its own, and none of ours.
#[tokio::test]
async fn the_role_is_granted_on_tables_that_another_tool_made() {
    let Some(f) = fixture().await else { return };
    let tool = Namespace::prefixed("tool_").unwrap();
    // Rolled back, because roles would stay on the server.
    let mut tx = f.owner.begin().await.unwrap();
    let steps = MIGRATIONS.steps.iter();
    let made = steps.map(|step| statement(&tool, step.sql));
    for sql in made.chain([roles(&tool)]) {
        sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
    }
    let can = "SELECT has_table_privilege('tool_idempotency_service', 'tool_idempotency_records', 'INSERT')";
    let can: bool = sqlx::query_scalar(can).fetch_one(&mut *tx).await.unwrap();
    assert!(can);
}
