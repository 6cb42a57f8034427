//! What a round reads, by the server's own account: no more than a batch needs, however many rows wait.

use std::fmt;

use mainstay_database::postgres::Database;
use mainstay_testkit::postgres::{Server, TestDatabase};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::{PostgresOutbox, store::MOST_COUNTED};

/// Rows that a round may take from each place.
const BATCH: u64 = 100;

/// What may wait in the deferred table: 20,000 rows each, due in an hour unless said
/// otherwise.
const WAITING: [(&str, &str); 7] = [
    ("nothing", "SELECT WHERE false"),
    (
        "one blocked key",
        "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
         SELECT 0, 't', 'stuck', '{}', true, CASE n WHEN 1 THEN later ELSE 0 END FROM waiting",
    ),
    (
        "one blocked key that is due",
        "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
         SELECT 0, 't', 'stuck', '{}', true, 0 FROM waiting",
    ),
    (
        "many blocked keys",
        "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
         SELECT 0, 't', 'stuck' || n, '{}', true, later FROM waiting",
    ),
    (
        "many blocked keys that are due",
        "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
         SELECT 0, 't', 'stuck' || n % 10000, '{}', true, 0 FROM waiting",
    ),
    (
        "messages without a key",
        "INSERT INTO outbox_deferred (shard, topic, envelope, blocked, due_at)
         SELECT 0, 't', '{}', true, later FROM waiting",
    ),
    (
        "delayed messages",
        "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
         SELECT 0, 't', 'a' || n, '{}', false, later FROM waiting",
    ),
];

/// What the server knows of the tables when it plans.
#[derive(Clone, Copy, Debug)]
enum Planned {
    /// What is in them.
    Analyzed,
    /// What was in them before the rows came: nothing, after a vacuum.
    WhenEmpty,
}

struct Bench {
    connection: PgConnection,
    outbox: PostgresOutbox,
    _server: TestDatabase,
}

impl Bench {
    async fn new(server: &Server) -> Self {
        let server = server.database().await.unwrap();
        let database = Database::connect(&server.url()).await.unwrap();
        let outbox = PostgresOutbox::builder(&database).open().await.unwrap();
        let mut connection = PgConnection::connect_with(&server.options()).await.unwrap();
        let owned = "UPDATE outbox_shards SET owner = 'relay', fence = 1; VACUUM ANALYZE";
        for sql in owned.split(';') {
            run(&mut connection, sql).await;
        }
        Self {
            connection,
            outbox,
            _server: server,
        }
    }

    /// Prepares the statements of a round, and lets the server plan them.
    async fn prepare(&mut self) {
        let sql = &self.outbox.inner.statements;
        let (fetch, record) = (sql.fetch.as_str(), sql.record.as_str());
        let (of_one, of_many) = (sql.fetch_log_of_one_shard.as_str(), sql.fetch_log.as_str());
        let (begin_fetch, begin_rows) = (sql.begin_fetch.as_str(), sql.begin_rows.as_str());
        let nothing = "'{0}', '{1}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'";
        for (begin, sql) in [
            (
                begin_fetch,
                format!("PREPARE reading (int4[], int8, int8, int8[]) AS {fetch}"),
            ),
            (
                begin_fetch,
                format!("PREPARE one (int4[], int8, int8, int8[]) AS {of_one}"),
            ),
            (
                begin_fetch,
                format!("PREPARE many (int4[], int8, int8, int8[]) AS {of_many}"),
            ),
            (begin_fetch, format!("EXECUTE reading ('{{0}}', {BATCH}, 1, '{{}}')")),
            (begin_fetch, format!("EXECUTE one ('{{0}}', {BATCH}, 1, '{{}}')")),
            (begin_fetch, format!("EXECUTE many ('{{0}}', {BATCH}, 1, '{{}}')")),
            (
                begin_rows,
                format!(
                    "PREPARE recording (int4[], int8[], int4[], int8[], int8[], int8[], int4[], int4[],
                                     int8[], int8[], int4[], text[]) AS {record}"
                ),
            ),
            (begin_rows, format!("EXECUTE recording ({nothing})")),
        ] {
            run(&mut self.connection, &format!("{begin}; {sql}; COMMIT")).await;
        }
    }

    async fn fill(&mut self, insert: &str) {
        let waiting = "CREATE TEMP TABLE waiting ON COMMIT DROP AS
            SELECT n, (extract(epoch FROM now()) * 1000000)::bigint + 3600000000 AS later
            FROM generate_series(1, 20000) n";
        let others = format!(
            "INSERT INTO outbox (shard, topic, key, envelope)
             SELECT 0, 't', 'other' || n, '{{}}' FROM generate_series(1, {}) n",
            5 * BATCH
        );
        let all = format!("BEGIN; {waiting}; {insert}; {others}; COMMIT");
        run(&mut self.connection, &all).await;
    }

    /// A key that the statistics do not know, behind all others, is due.
    async fn late(&mut self) {
        let late = "INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
            VALUES (0, 't', 'late', '{}', true, 0)";
        run(&mut self.connection, late).await;
    }

    /// What a statement reads.
    async fn cost(&mut self, begin: &str, execute: &str) -> Cost {
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {execute}");
        run(&mut self.connection, begin).await;
        let before = self.tuples().await;
        let plan = sqlx::raw_sql(AssertSqlSafe(explain));
        let plan = plan.fetch_one(&mut self.connection).await.unwrap();
        let plan: Value = serde_json::from_str(plan.get_unchecked(0)).unwrap();
        let mut cost = Cost {
            tuples: self.tuples().await - before,
            ..Cost::default()
        };
        run(&mut self.connection, "ROLLBACK").await;
        cost.add(&plan[0]["Plan"]);
        cost
    }

    /// Rows of the tables that this session has read, in triggers as well.
    async fn tuples(&mut self) -> u64 {
        let read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int8
            FROM pg_stat_xact_user_tables WHERE relname LIKE 'outbox%'";
        let tuples = sqlx::query_scalar::<_, i64>(read).persistent(false);
        let tuples = tuples.fetch_one(&mut self.connection).await.unwrap();
        tuples.unsigned_abs()
    }

    async fn fetch(&mut self) -> Cost {
        self.fetch_without("reading", 0).await
    }

    /// With the first rows of the log in flight.
    async fn fetch_without(&mut self, prepared: &str, in_flight: u64) -> Cost {
        let begin = self.outbox.inner.statements.begin_fetch.as_str().to_owned();
        let positions: Vec<_> = (1..=in_flight).map(|n| n.to_string()).collect();
        let positions = positions.join(",");
        let execute = format!("{prepared} ('{{0}}', {BATCH}, 100000000, '{{{positions}}}')");
        self.cost(&begin, &execute).await
    }

    /// Records a round: of the log one message is refused, one is held behind it, and the others are
    /// published; in the deferred table a batch is published, one is refused again and one is held.
    async fn record(&mut self) -> Cost {
        let begin = self.outbox.inner.statements.begin_rows.as_str().to_owned();
        let done = "SELECT coalesce(array_agg(position), '{}') FROM
            (SELECT position FROM outbox_deferred ORDER BY position LIMIT $1) d";
        let done: Vec<i64> = sqlx::query_scalar(done)
            .bind(i64::try_from(BATCH).unwrap())
            .fetch_one(&mut self.connection)
            .await
            .unwrap();
        let next = done.last().map_or(1, |last| last + 1);
        let execute = format!(
            "recording ('{{0}}', '{{1}}', '{{0}}', '{{1}}', '{{{BATCH}}}', '{{{}}}',
                     '{{0,1,2,3}}', '{{0,0,0,0}}', '{{{},{},{},{next}}}', '{{9,0,0,9}}', '{{1,0,0,2}}', '{{no,NULL,NULL,no}}')",
            done.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            BATCH + 1,
            BATCH + 2,
            next + 1,
        );
        self.cost(&begin, &execute).await
    }
}

#[derive(Default)]
struct Cost {
    /// Rows that scans of the plan returned or threw away.
    rows: u64,
    /// Rows of the tables that were read, in triggers as well.
    tuples: u64,
    /// Pages of tables and indexes that the scans touched.
    pages: u64,
    /// Steps of the plan that read a table from end to end.
    whole: Vec<String>,
}

impl Cost {
    fn add(&mut self, node: &Value) {
        let step = node["Node Type"].as_str().unwrap_or_default();
        let of = node["Relation Name"].as_str().unwrap_or_default();
        if of.starts_with("outbox") && of != "outbox_shards" {
            let each = number(node, "Actual Rows")
                + number(node, "Rows Removed by Filter")
                + number(node, "Rows Removed by Join Filter");
            self.rows += each * number(node, "Actual Loops");
            self.pages += number(node, "Shared Hit Blocks") + number(node, "Shared Read Blocks");
            if step == "Seq Scan" && number(node, "Actual Loops") > 0 {
                self.whole.push(of.to_owned());
            }
        }
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.add(child);
        }
    }

    /// Three places to read from, and a probe for each row of two of them; or as much that is written.
    fn is_of_a_batch(&self) -> bool {
        let rows = 8 * BATCH + MOST_COUNTED;
        self.rows.max(self.tuples) <= rows && self.pages <= 8 * rows && self.whole.is_empty()
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            tuples,
            pages,
            whole,
        } = self;
        write!(
            f,
            "{rows} rows, {tuples} tuples, {pages} pages, from end to end: {whole:?}"
        )
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small counts"
)]
fn number(node: &Value, name: &str) -> u64 {
    node[name].as_f64().unwrap_or_default().round() as u64
}

async fn run(connection: &mut PgConnection, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_round_reads_no_more_than_a_batch_however_many_rows_wait() {
    let Some(server) = Server::for_suite("outbox") else {
        return;
    };
    let mut too_much = Vec::new();
    for (what, insert) in WAITING {
        for planned in [Planned::Analyzed, Planned::WhenEmpty] {
            let mut bench = Bench::new(&server).await;
            match planned {
                Planned::Analyzed => {
                    bench.fill(insert).await;
                    run(&mut bench.connection, "ANALYZE").await;
                    bench.prepare().await;
                }
                Planned::WhenEmpty => {
                    bench.prepare().await;
                    bench.fill(insert).await;
                }
            }
            let one = ("log of a shard", bench.fetch_without("one", BATCH).await);
            let many = ("log", bench.fetch_without("many", BATCH).await);
            bench.late().await;
            for (statement, cost) in [
                one,
                many,
                ("fetch", bench.fetch().await),
                ("read ahead", bench.fetch_without("reading", BATCH).await),
                ("record", bench.record().await),
            ] {
                let told = format!("{what}, {planned:?}: {statement} reads {cost}");
                println!("{told}");
                if !cost.is_of_a_batch() {
                    too_much.push(told);
                }
            }
        }
    }
    assert!(too_much.is_empty(), "{too_much:#?}");
}
