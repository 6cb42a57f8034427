//! Which index each statement reads, by SQLite's own account.

use mainstay_database::{Namespace, sqlite::Database};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _, SqlStr, sqlite::SqliteRow};

use super::{DIALECT, SqliteSagas, UPDATE};
use crate::{Query, RunId, Status};

/// A million rows are not needed: without statistics, plans do not depend on how many there are.
struct Bench {
    sagas: SqliteSagas,
    update: SqlStr,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("plans.db")).await;
        let namespace = Namespace::prefixed("p_").unwrap();
        let sagas = SqliteSagas::builder(database.unwrap()).namespace(namespace.clone());
        let mut sagas = sagas.open().await.unwrap();
        let sql = &mut sagas.sql;
        for statement in [
            &mut sql.create,
            &mut sql.find,
            &mut sql.lock,
            &mut sql.lock_due,
            &mut sql.postpone,
            &mut sql.prune,
            &mut sql.prune_journals,
            &mut sql.list,
            &mut sql.count,
            &mut sql.show,
            &mut sql.live,
            &mut sql.undo,
            &mut sql.prune_steps,
        ] {
            *statement = explained(statement);
        }
        Self {
            sagas,
            update: explained(&DIALECT.render(&namespace, UPDATE)),
            _directory: directory,
        }
    }

    /// The plan of a statement with as many parameters, none of which matters.
    async fn plan(&self, statement: &SqlStr, parameters: usize) -> Vec<String> {
        let mut query = sqlx::query(statement.clone());
        for _ in 0..parameters {
            query = query.bind("[]");
        }
        steps(&query.fetch_all(self.sagas.reader()).await.unwrap())
    }

    async fn list(&self, query: &Query) -> Vec<String> {
        let before = RunId::new("z");
        let mut listing = self.sagas.listing(query, Some(&before), 50);
        let rows = listing.build().fetch_all(self.sagas.reader()).await;
        steps(&rows.unwrap())
    }
}

fn explained(statement: &SqlStr) -> SqlStr {
    AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.as_str())).into_sql_str()
}

fn steps(rows: &[SqliteRow]) -> Vec<String> {
    rows.iter().map(|row| row.get("detail")).collect()
}

/// The plan uses this index, and reads no table from end to end.
fn uses(what: &str, plan: &[String], index: &str) {
    let found = plan.iter().any(|step| step.contains(index));
    assert!(found, "{what}: {plan:#?}");
    for table in ["p_saga", "r", "e"] {
        let scan = format!("SCAN {table}");
        let whole = |step: &&String| **step == scan || step.starts_with(&format!("{scan} USING"));
        let is_walked = index.starts_with(&scan);
        assert!(
            is_walked || !plan.iter().any(|step| whole(&step)),
            "{what}: {plan:#?}"
        );
    }
}

#[tokio::test]
async fn a_step_finds_its_runs_by_index() {
    let bench = Bench::new().await;
    let sql = &bench.sagas.sql;
    let of_run = "INDEX sqlite_autoindex_p_saga_runs_1 (run=?)";
    uses("lock", &bench.plan(&sql.lock, 2).await, of_run);
    uses("save", &bench.plan(&bench.update, 1).await, of_run);
    let of_key = "p_saga_runs_by_key (saga=? AND business_key=? AND <expr>=?)";
    uses("find", &bench.plan(&sql.find, 2).await, of_key);
    let journal = "p_saga_journal_by_run (run=?)";
    let pruned = bench.plan(&sql.prune_journals, 1).await;
    uses("journals", &pruned, journal);
    let ended = "p_saga_runs_by_ended (saga=? AND ended_at<?)";
    uses("prune", &bench.plan(&sql.prune, 3).await, ended);
    let steps = "p_saga_steps_by_at (at<?)";
    uses("steps", &bench.plan(&sql.prune_steps, 2).await, steps);
}

#[tokio::test]
async fn due_runs_are_read_from_their_index_in_its_order() {
    let bench = Bench::new().await;
    let plan = bench.plan(&bench.sagas.sql.lock_due, 3).await;
    let due = "p_saga_runs_by_due (saga=? AND fingerprint=? AND wake_at<?)";
    uses("due", &plan, due);
    let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
    assert!(!sorts, "{plan:#?}");
}

#[tokio::test]
async fn each_list_has_its_index() {
    let bench = Bench::new().await;
    let mine = || Query::all().saga("s");
    let overdue = Query::overdue().saga("s");
    for (what, query, index) in [
        (
            "status",
            mine().status(Status::Broken),
            "p_saga_runs_by_status (saga=? AND status=? AND run<?)",
        ),
        (
            "overdue",
            overdue,
            "p_saga_runs_by_overdue (saga=? AND run<?)",
        ),
        (
            "key",
            mine().key("k"),
            "p_saga_runs_by_key (saga=? AND business_key=?)",
        ),
        (
            "all",
            Query::all(),
            "sqlite_autoindex_p_saga_runs_1 (run<?)",
        ),
    ] {
        let plan = bench.list(&query).await;
        uses(what, &plan, index);
        let sorts = plan.iter().any(|step| step.contains("TEMP B-TREE"));
        assert_eq!(sorts, what == "key", "{what}: {plan:#?}");
    }
    let live = bench.plan(&bench.sagas.sql.live, 2).await;
    uses(
        "live",
        &live,
        "p_saga_runs_by_due (saga=? AND fingerprint>?)",
    );
    let shown = bench.plan(&bench.sagas.sql.show, 1).await;
    uses("show", &shown, "p_saga_journal_by_run (run=?)");
}
