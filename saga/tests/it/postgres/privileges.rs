//! The service has the least privileges; the whole suite runs with them.

use futures_util::future::join_all;
use mainstay_saga::postgres::roles;

use super::{fixture, namespace};

#[tokio::test]
async fn the_service_cannot_change_journals_or_schema() {
    let Some(f) = fixture().await else { return };
    for refused in [
        "UPDATE shop.sales_saga_journal SET entry = '{}'",
        "TRUNCATE shop.sales_saga_runs",
        "DROP TABLE shop.sales_saga_steps",
        "INSERT INTO shop.sales_saga_schema VALUES (9, 'x', 0)",
        "CREATE TABLE shop.more (id BIGINT)",
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
