//! The service has the least privileges; the whole suite runs with them.

use futures_util::future::join_all;
use mainstay_database::{
    Namespace,
    postgres::{Database, statement},
};
use mainstay_inbox::{
    PostgresInbox,
    conformance::Fixture as _,
    postgres::{MIGRATIONS, roles},
    store::Retention as _,
};

use super::{fixture, namespace, scene::publish};
use crate::named::{group, message, topic};

#[tokio::test]
async fn the_service_cannot_change_processed_records_or_schema() {
    let Some(f) = fixture().await else { return };
    f.create_topic(&topic(), 1).await;
    publish(&f, &[message("a", 0)]).await;
    // If the schema is up to date, this only reads.
    super::inbox(&f.database).open().await.unwrap();
    for refused in [
        "UPDATE shop.billing_inbox_processed SET consumer = 'other'",
        "TRUNCATE shop.billing_inbox_processed",
        "DROP TABLE shop.billing_inbox_processed",
        "UPDATE shop.billing_inbox_redeliveries SET consumer = 'other'",
        "UPDATE shop.billing_inbox_progress SET newest_seq = 0",
        "INSERT INTO shop.billing_inbox_schema VALUES (9, 'x', 0)",
        "SELECT nextval('shop.billing_inbox_processed_seq_seq')",
        "CREATE TABLE shop.more (id BIGINT)",
    ] {
        let answer = sqlx::query(refused).execute(f.database.pool()).await;
        let code = answer.unwrap_err().into_database_error().unwrap();
        assert_eq!(code.code().unwrap(), "42501", "{refused}");
    }
}

/// A missing privilege is one clear error.
#[tokio::test]
async fn a_missing_privilege_is_named() {
    let Some(f) = fixture().await else { return };
    let revoke = "REVOKE SELECT ON shop.billing_inbox_progress FROM billing_inbox_worker";
    sqlx::query(revoke).execute(&f.owner).await.unwrap();
    let at = std::time::SystemTime::UNIX_EPOCH;
    let error = f.inbox.prune(&group(), at, 0, 1).await.unwrap_err();
    assert!(!error.is_retryable());
    let (mut report, mut next) = (String::new(), Some(&error as &dyn std::error::Error));
    while let Some(error) = next {
        report = format!("{report}: {error}");
        next = error.source();
    }
    assert!(
        report.contains("permission denied for table billing_inbox_progress"),
        "{report}"
    );
}

/// Like processes that migrate when they start.
#[tokio::test]
async fn several_sessions_can_grant_at_once() {
    let Some(f) = fixture().await else { return };
    for _ in 0..5 {
        let granting = (0..8).map(|_| sqlx::raw_sql(roles(&namespace())).execute(&f.owner));
        for outcome in join_all(granting).await {
            outcome.unwrap();
        }
    }
}

#[tokio::test]
async fn an_owner_without_createrole_grants_to_an_existing_role() {
    let Some(f) = fixture().await else { return };
    // Rolled back, because roles would stay on the server.
    let mut tx = f.owner.begin().await.unwrap();
    let become_owner = "CREATE ROLE billing_inbox_owner;
        ALTER SCHEMA shop OWNER TO billing_inbox_owner;
        ALTER TABLE shop.billing_inbox_schema OWNER TO billing_inbox_owner;
        ALTER TABLE shop.billing_inbox_processed OWNER TO billing_inbox_owner;
        ALTER TABLE shop.billing_inbox_redeliveries OWNER TO billing_inbox_owner;
        ALTER TABLE shop.billing_inbox_progress OWNER TO billing_inbox_owner;
        SET LOCAL ROLE billing_inbox_owner";
    sqlx::raw_sql(become_owner).execute(&mut *tx).await.unwrap();
    let granted = sqlx::raw_sql(roles(&namespace())).execute(&mut *tx).await;
    granted.unwrap();
}

#[tokio::test]
async fn the_schema_may_be_a_keyword_of_sql() {
    let Some(f) = fixture().await else { return };
    let namespace = Namespace::prefixed("word_").unwrap();
    let namespace = namespace.in_schema("order").unwrap();
    let database = Database::connect(&f.server.url()).await.unwrap();
    let inbox = PostgresInbox::builder(&database).namespace(namespace.clone());
    let inbox = inbox.open().await.unwrap();
    let at = std::time::SystemTime::UNIX_EPOCH;
    inbox.prune(&group(), at, 0, 1).await.unwrap();
    // Rolled back, because roles would stay on the server.
    let mut tx = f.owner.begin().await.unwrap();
    let granted = sqlx::raw_sql(roles(&namespace)).execute(&mut *tx).await;
    granted.unwrap();
    database.close().await;
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
    let can = "SELECT has_table_privilege('tool_inbox_worker', 'tool_inbox_processed', 'INSERT')";
    let can: bool = sqlx::query_scalar(can).fetch_one(&mut *tx).await.unwrap();
    assert!(can);
}
