//! The privileges of a service. The whole suite runs with them.

use mainstay_database::{Namespace, postgres::statement};
use mainstay_dlq::postgres::{MIGRATIONS, roles};

use super::fixture;

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
    let can = "SELECT has_table_privilege('tool_dlq_worker', 'tool_dlq_messages', 'INSERT')";
    let can: bool = sqlx::query_scalar(can).fetch_one(&mut *tx).await.unwrap();
    assert!(can);
}
