//! Which index each statement of a replayer's poll reads, by SQLite's own account.

use mainstay_database::{Namespace, sqlite::Database};
use sqlx::{AssertSqlSafe, SqlStr};

use super::SqliteDeadLetters;
use crate::store::DeadLetterDatabase as _;

async fn plan(store: &SqliteDeadLetters, statement: &SqlStr) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {}", statement.as_str());
    let steps = sqlx::query_as::<_, (i64, i64, i64, String)>(AssertSqlSafe(explain));
    let steps = steps.fetch_all(store.reader()).await.unwrap();
    steps
        .into_iter()
        .map(|(_, _, _, step)| step + "\n")
        .collect()
}

#[tokio::test]
async fn a_poll_reads_indexes_and_no_table_from_end_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("plans.db"))
        .await
        .unwrap();
    let namespace = Namespace::prefixed("p_").unwrap();
    let store = database.open_store(&namespace, true).await.unwrap();
    let sql = &store.sql;
    for (statement, index) in [
        (&sql.totals, "COVERING INDEX p_dlq_messages_by_state"),
        (&sql.prune, "p_dlq_messages_by_resolved"),
        (&sql.hand_back, "p_dlq_messages_by_key"),
    ] {
        let plan = plan(&store, statement).await;
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("SCAN p_dlq_messages"), "{plan}");
    }
}
