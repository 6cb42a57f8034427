//! Which index each statement of a replayer's poll reads, by the server's own account.

use mainstay_database::{Namespace, postgres::Database};
use mainstay_testkit::postgres::Server;
use sqlx::{AssertSqlSafe, SqlStr};

use crate::store::DeadLetterDatabase as _;

/// 20,000 messages, of which nine in ten are kept, and one of these in a hundred is held.
const MESSAGES: &str = "INSERT INTO dlq_messages (consumer, topic, partition, \"offset\", source, message_id, key, state, kept_at,
        fingerprint, resolved_at)
    SELECT 'c', 't', 0, n, '/s', n::text, 'k' || n % 1000, CASE WHEN n % 10 = 0 THEN 'replayed' WHEN n % 100 = 1 THEN 'held'
        ELSE 'dead' END, n, 'f', CASE WHEN n % 10 = 0 THEN n END
    FROM generate_series(1, 20000) n";

async fn plan(database: &Database, statement: &SqlStr, types: &str, values: &str) -> String {
    let mut connection = database.pool().acquire().await.unwrap();
    let text = statement.as_str();
    for sql in [
        "SET plan_cache_mode = force_generic_plan".to_owned(),
        format!("PREPARE planned ({types}) AS {text}"),
    ] {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        sql.execute(&mut *connection).await.unwrap();
    }
    let explain = format!("EXPLAIN EXECUTE planned ({values})");
    let explain = sqlx::query_scalar::<_, String>(AssertSqlSafe(explain)).persistent(false);
    let plan = explain.fetch_all(&mut *connection).await.unwrap();
    let forget = sqlx::raw_sql("DEALLOCATE planned; RESET plan_cache_mode");
    forget.execute(&mut *connection).await.unwrap();
    plan.join("\n")
}

#[tokio::test]
async fn a_poll_reads_indexes_and_no_table_from_end_to_end() {
    let Some(server) = Server::for_suite("dlq") else {
        return;
    };
    let server = server.database().await.unwrap();
    let database = Database::connect(&server.url()).await.unwrap();
    let store = database.open_store(&Namespace::default(), true).await;
    let store = store.unwrap();
    for sql in [MESSAGES, "VACUUM ANALYZE dlq_messages"] {
        let sql = sqlx::raw_sql(sql);
        sql.execute(database.pool()).await.unwrap();
    }
    let sql = &store.sql;
    for (statement, types, values, index) in [
        (
            &sql.totals,
            "text, int8",
            "'c', 10",
            "dlq_messages_by_state",
        ),
        (
            &sql.prune,
            "text, int8, int8",
            "'c', 1, 10",
            "dlq_messages_by_resolved",
        ),
        (
            &sql.hand_back,
            "text, text, text",
            "'c', 't', 'k1'",
            "dlq_messages_by_key",
        ),
    ] {
        let plan = plan(&database, statement, types, values).await;
        assert!(plan.contains(index), "{plan}");
        assert!(!plan.contains("Seq Scan on dlq_messages"), "{plan}");
    }
}
