//! Which index each statement reads, by the server's own account.

use mainstay_database::{Namespace, postgres::Database};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{AssertSqlSafe, PgPool, SqlStr};

use super::PostgresDeadLetters;
use crate::{sql::Statements, store::DeadLetterDatabase as _};

/// 50,000 resolved messages, 1,000 dead ones, and ten held ones behind each hundredth of them.
const ROWS: &str = "INSERT INTO dlq_messages (consumer, topic, partition, \"offset\", source, message_id, key, kind, state, attempts,
        error, fingerprint, kept_at, failed_at, due_at, resolved_at)
    SELECT 'c', 't', 0, n, 's', 'm-' || n, 'k-' || CASE WHEN n > 51000 THEN 50000 + (n - 51000) % 10 ELSE n END, 'K',
        CASE WHEN n <= 50000 THEN 'replayed' WHEN n <= 51000 THEN 'dead' ELSE 'held' END, 1, 'as planned', 'f-' || n % 50,
        n, n, CASE WHEN n = 50500 THEN n END, CASE WHEN n <= 50000 THEN n END
    FROM generate_series(1, 51100) n;
    INSERT INTO dlq_bodies (message, revision, record, payload) SELECT n, 0, '{}', 'x' FROM generate_series(1, 51100) n;
    INSERT INTO dlq_failures (message, at, kind, attempts, error, revision) SELECT n, n, 'permanent', 1, 'x', 0 FROM generate_series(1, 51000) n;
    INSERT INTO dlq_blocked_keys (consumer, topic, key) SELECT 'c', 't', 'k-' || n FROM generate_series(50001, 51000) n";

/// What is in the tables, unless the server has looked at them: nothing that it knows of.
const ANALYZE: &str = "VACUUM ANALYZE dlq_messages; VACUUM ANALYZE dlq_bodies; VACUUM ANALYZE dlq_failures; VACUUM ANALYZE dlq_blocked_keys";

struct Bench {
    store: PostgresDeadLetters,
    owner: PgPool,
    _server: TestDatabase,
}

impl Bench {
    async fn new() -> Option<Self> {
        let bench = Self::not_analyzed().await?;
        bench.run(ANALYZE).await;
        Some(bench)
    }

    async fn not_analyzed() -> Option<Self> {
        let server = Server::for_suite("dlq")?.database().await.unwrap();
        let owner = PgPool::connect(&server.url()).await.unwrap();
        let (database, namespace) = (Database::from(&owner), Namespace::plain());
        let store = database.open_store(&namespace, true).await.unwrap();
        let bench = Self {
            store,
            owner,
            _server: server,
        };
        for table in ["messages", "bodies", "failures", "blocked_keys"] {
            let sql = format!("ALTER TABLE dlq_{table} SET (autovacuum_enabled = off)");
            let off = sqlx::raw_sql(AssertSqlSafe(sql));
            off.execute(&bench.owner).await.unwrap();
        }
        bench.run(ROWS).await;
        Some(bench)
    }

    async fn run(&self, statements: &'static str) {
        for sql in statements.split(';') {
            sqlx::raw_sql(sql).execute(&self.owner).await.unwrap();
        }
    }

    /// The plan of a statement for any parameters of these types.
    async fn plan(&self, statement: &SqlStr, types: &str, values: &str) -> String {
        let mut connection = self.owner.acquire().await.unwrap();
        let prepare = format!(
            "SET plan_cache_mode = force_generic_plan; PREPARE planned ({types}) AS {}",
            statement.as_str()
        );
        let sql = sqlx::raw_sql(AssertSqlSafe(prepare));
        sql.execute(&mut *connection).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE planned ({values})");
        let explain = sqlx::query_scalar::<_, String>(AssertSqlSafe(explain));
        let plan = explain.persistent(false).fetch_all(&mut *connection).await;
        let forget = sqlx::raw_sql("DEALLOCATE planned; RESET plan_cache_mode");
        forget.execute(&mut *connection).await.unwrap();
        plan.unwrap().join("\n")
    }

    async fn check(&self, statements: impl IntoIterator<Item = Planned<'_>>) {
        for (what, statement, types, values, index) in statements {
            let plan = self.plan(statement, types, values).await;
            assert!(plan.contains(index), "{what}: {plan}");
            for table in ["dlq_messages", "dlq_bodies", "dlq_failures"] {
                let whole = format!("Seq Scan on {table}");
                assert!(!plan.contains(&whole), "{what}: {plan}");
            }
        }
    }
}

/// Resolved messages stay for their retention, and there may be very many.
#[tokio::test]
async fn neither_admission_nor_the_replayer_reads_a_table_from_end_to_end() {
    let Some(bench) = Bench::new().await else {
        return;
    };
    let sql = &bench.store.sql;
    bench.check(of_each_round(sql)).await;
    bench.check(of_the_others(sql)).await;
}

/// A server comes to know a table a minute or more after it has filled.
#[tokio::test]
async fn nor_do_admission_and_an_idle_replayer_where_the_server_does_not_know_the_tables() {
    let Some(bench) = Bench::not_analyzed().await else {
        return;
    };
    bench.check(of_each_round(&bench.store.sql)).await;
}

/// A statement, with what it is for, the types and values of its parameters, and an index that it uses.
type Planned<'a> = (
    &'static str,
    &'a SqlStr,
    &'static str,
    &'static str,
    &'static str,
);

/// Those of admission and of a replayer that looks for work.
fn of_each_round(sql: &Statements) -> [Planned<'_>; 4] {
    [
        ("any", &sql.is_any_kept, "text", "'c'", "by_"),
        (
            "look",
            &sql.look,
            "text, text",
            r#"'c', '[["t", "k-50001", "s", "m-50001"]]'"#,
            "dlq_messages_by_identity",
        ),
        (
            "look at one",
            &sql.look_at_one,
            "text, text, text, text, text",
            "'c', 't', 'k-50001', 's', 'm-50001'",
            "dlq_messages_by_identity",
        ),
        (
            "due letters",
            &sql.due_letters,
            "text, int8",
            "'c', 64",
            "dlq_messages_by_due",
        ),
    ]
}

fn of_the_others(sql: &Statements) -> [Planned<'_>; 5] {
    [
        (
            "head",
            &sql.lock_head,
            "text, text, text",
            "'c', 't', 'k-50001'",
            "dlq_messages_by_key",
        ),
        (
            "totals",
            &sql.totals,
            "text, int8",
            "'c', 10000",
            "Index Only Scan using dlq_messages_by_state",
        ),
        (
            "prune",
            &sql.prune,
            "text, int8, int8",
            "'c', 1, 500",
            "dlq_messages_by_resolved",
        ),
        (
            "prune bodies",
            &sql.prune_bodies,
            "text",
            "'[1, 2, 3]'",
            "dlq_bodies_pkey",
        ),
        (
            "prune failures",
            &sql.prune_failures,
            "text",
            "'[1, 2, 3]'",
            "dlq_failures_by_message",
        ),
    ]
}
