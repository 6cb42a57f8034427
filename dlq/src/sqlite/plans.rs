//! Which index each statement reads, by SQLite's own account.

use mainstay_database::{Namespace, sqlite::Database};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _, SqlStr};

use super::SqliteDeadLetters;
use crate::store::DeadLetterDatabase as _;

/// Without statistics, plans do not depend on how many rows there are.
struct Bench {
    store: SqliteDeadLetters,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("plans.db")).await;
        let namespace = Namespace::prefixed("p_").unwrap();
        let store = database.unwrap().open_store(&namespace, true).await;
        Self {
            store: store.unwrap(),
            _directory: directory,
        }
    }

    /// The plan, whatever the parameters are.
    async fn plan(&self, statement: &SqlStr) -> Vec<String> {
        let explain = format!("EXPLAIN QUERY PLAN {}", statement.as_str());
        let explain = AssertSqlSafe(explain).into_sql_str();
        let rows = sqlx::query(explain).fetch_all(self.store.reader()).await;
        let rows = rows.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }
}

/// The plan searches with these indexes, and reads no table from end to end.
fn uses(what: &str, plan: &[String], indexes: &[&str]) {
    let searches: Vec<_> = (plan.iter())
        .filter(|step| step.contains("dlq_messages") || step.starts_with("SEARCH m "))
        .collect();
    // What a subquery found is deleted by number.
    let by_number = |step: &str| step.ends_with("INTEGER PRIMARY KEY (rowid=?)");
    let mut others = searches.iter().filter(|step| !by_number(step)).peekable();
    assert!(others.peek().is_some(), "{what}: {plan:#?}");
    let is_among = |step: &String| indexes.iter().any(|index| step.contains(index));
    assert!(others.all(|step| is_among(step)), "{what}: {plan:#?}");
    assert!(
        !(plan.iter()).any(|step| step.starts_with("SCAN p_dlq") || step == "SCAN m"),
        "{what}: {plan:#?}"
    );
}

/// Resolved messages stay for their retention, and there may be very many.
#[tokio::test]
async fn neither_admission_nor_the_replayer_reads_what_is_resolved() {
    let bench = Bench::new().await;
    let sql = &bench.store.sql;
    let of_identity = "dlq_messages_by_identity (consumer=? AND source=? AND message_id=?)";
    let of_key = "dlq_messages_by_key (consumer=? AND topic=? AND key=?)";
    let by_state = "COVERING INDEX p_dlq_messages_by_state";
    let due = "dlq_messages_by_due (consumer=? AND due_at<?)";
    let resolved = "dlq_messages_by_resolved (consumer=? AND resolved_at<?)";
    for (what, statement, indexes) in [
        ("is any kept", &sql.is_any_kept, &[by_state][..]),
        ("look", &sql.look, &[of_identity, by_state]),
        ("look at one", &sql.look_at_one, &[of_identity, by_state]),
        ("due keys", &sql.due_keys, &[of_key]),
        ("due letters", &sql.due_letters, &[due]),
        ("head", &sql.lock_head, &[of_key]),
        ("hand back", &sql.hand_back, &[of_key]),
        ("totals", &sql.totals, &[by_state]),
        ("prune", &sql.prune, &[resolved]),
    ] {
        uses(what, &bench.plan(statement).await, indexes);
    }
}
