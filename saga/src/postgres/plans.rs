//! Which index each statement reads, by the server's own account.

use mainstay_database::postgres::Database;
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr as _, SqlStr};

use super::PostgresSagas;
use crate::{Query, RunId, Status};

/// What is in the tables, unless the server has looked at them: nothing that it knows of.
const ANALYZE: &str =
    "VACUUM ANALYZE saga_runs; VACUUM ANALYZE saga_journal; VACUUM ANALYZE saga_steps";

/// 20,000 runs of one definition, half of them ended. The others are due, and so are 100 of another
/// definition. Five of each hundred are broken, one of each thousand is overdue.
const RUNS: &str = "INSERT INTO saga_runs (run, saga, business_key, version, fingerprint, status, is_overdue, step, state, input,
        started_at, saved_at, wake_at, ended_at)
    SELECT lpad(n::text, 8, '0'), 's', 'k' || n, 1, CASE WHEN n % 200 = 0 THEN 2 ELSE 1 END,
        CASE WHEN n % 2 = 1 THEN 'completed' WHEN n % 20 = 0 THEN 'broken' ELSE 'running' END, n % 1000 = 0, 'Reserve',
        repeat('x', 500), '{}', n, n, CASE WHEN n % 2 = 0 THEN n END, CASE WHEN n % 2 = 1 THEN n END
    FROM generate_series(1, 20000) n;
    INSERT INTO saga_journal (run, at, entry) SELECT lpad((n % 20000)::text, 8, '0'), n, '\"started\"' FROM generate_series(1, 60000) n;
    INSERT INTO saga_steps (step, begins, undos, at) SELECT n::text, 1, 0, n FROM generate_series(1, 20000) n";

struct Bench {
    /// Each of its statements is explained instead.
    sagas: PostgresSagas,
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
        let server = Server::for_suite("saga")?.database().await.unwrap();
        let owner = PgPool::connect(&server.url()).await.unwrap();
        let sagas = PostgresSagas::builder(Database::from(&owner)).open().await;
        let mut sagas = sagas.unwrap();
        let sql = &mut sagas.sql;
        for statement in [
            &mut sql.find,
            &mut sql.lock,
            &mut sql.lock_due,
            &mut sql.postpone,
            &mut sql.prune,
            &mut sql.prune_journals,
            &mut sql.list,
            &mut sql.show,
            &mut sql.live,
            &mut sql.prune_steps,
            &mut sagas.save,
        ] {
            *statement = explained(statement);
        }
        let bench = Self {
            sagas,
            owner,
            _server: server,
        };
        bench
            .run("ALTER TABLE saga_runs SET (autovacuum_enabled = off)")
            .await;
        bench.run(RUNS).await;
        Some(bench)
    }

    async fn run(&self, statements: &'static str) {
        for sql in statements.split(';') {
            sqlx::raw_sql(sql).execute(&self.owner).await.unwrap();
        }
    }

    /// The plan of a statement with these parameters, of the types that it casts them to.
    async fn plan(&self, statement: &SqlStr, types: &str, values: &str) -> String {
        let explain = statement.as_str();
        let text = explain.trim_start_matches("EXPLAIN ");
        let mut connection = self.owner.acquire().await.unwrap();
        let prepare = format!(
            "SET plan_cache_mode = force_generic_plan; PREPARE planned ({types}) AS {text}"
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

    async fn list(&self, query: &Query) -> String {
        let before = RunId::new("z");
        let mut listing = self.sagas.listing(query, Some(&before), 50);
        let plan = listing.build_query_scalar::<String>().persistent(false);
        plan.fetch_all(&self.owner).await.unwrap().join("\n")
    }
}

fn explained(statement: &SqlStr) -> SqlStr {
    AssertSqlSafe(format!("EXPLAIN {}", statement.as_str())).into_sql_str()
}

/// The plan uses this index, and reads no table from end to end.
fn uses(what: &str, plan: &str, index: &str) {
    assert!(plan.contains(index), "{what}: {plan}");
    assert!(!plan.contains("Seq Scan on saga_"), "{what}: {plan}");
}

#[tokio::test]
async fn a_step_finds_its_runs_by_index() {
    let Some(bench) = Bench::new().await else {
        return;
    };
    let sql = &bench.sagas.sql;
    let one = "'{00000010}'";
    let plan = bench
        .plan(&sql.lock, "text[], text", &format!("{one}, 's'"))
        .await;
    uses("lock", &plan, "saga_runs_pkey");
    let types = "text[], text[], text[], bool[], text[], int8[], bool[], text[], text[]";
    let values = format!(
        "{one}, '{{x}}', '{{running}}', '{{f}}', '{{x}}', '{{1}}', '{{f}}', {one}, '{{x}}'"
    );
    let plan = bench.plan(&bench.sagas.save, types, &values).await;
    uses("save", &plan, "saga_runs_pkey");
    let plan = bench.plan(&sql.find, "text, text", "'s', 'k10'").await;
    uses("find", &plan, "saga_runs_by_key");
    let plan = bench
        .plan(&sql.postpone, "text, int8", "'00000010', 1")
        .await;
    uses("postpone", &plan, "saga_runs_pkey");
    let plan = bench.plan(&sql.prune_journals, "text[]", one).await;
    uses("journals", &plan, "saga_journal_pkey");
    let plan = bench
        .plan(&sql.prune, "text, int8, int8", "'s', 1, 100")
        .await;
    uses("prune", &plan, "saga_runs_by_ended");
    let plan = bench.plan(&sql.prune_steps, "int8, int8", "1, 100").await;
    uses("steps", &plan, "saga_steps_by_at");
}

#[tokio::test]
async fn a_run_is_locked_by_its_id_in_a_table_that_the_server_does_not_know() {
    let Some(bench) = Bench::not_analyzed().await else {
        return;
    };
    let lock = &bench.sagas.sql.lock;
    let plan = bench.plan(lock, "text[], text", "'{00000010}', 's'").await;
    uses("lock", &plan, "saga_runs_pkey");
    assert!(!plan.contains("BitmapAnd"), "{plan}");
}

#[tokio::test]
async fn due_runs_are_read_from_their_index_in_its_order() {
    let Some(bench) = Bench::new().await else {
        return;
    };
    for (definition, runs) in [("1", "many runs"), ("2", "few runs"), ("3", "no run")] {
        let values = format!("'s', {definition}, 100");
        let due = &bench.sagas.sql.lock_due;
        let plan = bench.plan(due, "text, int8, int8", &values).await;
        uses(runs, &plan, "Index Scan using saga_runs_by_due");
        assert!(!plan.contains("Sort"), "{runs}: {plan}");
    }
}

#[tokio::test]
async fn each_list_has_its_index() {
    let Some(bench) = Bench::new().await else {
        return;
    };
    let mine = || Query::all().saga("s");
    let overdue = Query::overdue().saga("s");
    for (what, query, index) in [
        (
            "broken",
            mine().status(Status::Broken),
            "saga_runs_by_status",
        ),
        ("overdue", overdue, "saga_runs_by_overdue"),
        ("key", mine().key("k10"), "saga_runs_by_key"),
        ("all", Query::all(), "saga_runs_pkey"),
        ("all of a saga", mine(), "saga_runs_pkey"),
    ] {
        uses(what, &bench.list(&query).await, index);
    }
    let sql = &bench.sagas.sql;
    let live = bench.plan(&sql.live, "text, int8", "'s', 100").await;
    uses("live", &live, "saga_runs_by_due");
    let shown = bench.plan(&sql.show, "text", "'00000010'").await;
    uses("show", &shown, "saga_journal_pkey");
}
