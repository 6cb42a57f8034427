//! What a round costs, in steps of SQLite's machine: no more than a batch needs, however many rows wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mainstay_database::sqlite::Database;
use mainstay_messaging::Message;
use sqlx::{AssertSqlSafe, SqliteConnection};
use tempfile::TempDir;

use crate::{
    Entry, Outbox as _, SqliteOutbox,
    store::{FencingToken, Limit, Outcome, Refusal, RelayStore as _, RowRef, ShardLease},
};

const BATCH: u32 = 100;

/// What may wait in the deferred table: how many rows, in the far future unless said otherwise.
const WAITING: [(&str, u32, &str); 10] = [
    ("nothing", 0, "0, 't', 'a', '{}', 1, later"),
    (
        "one blocked key",
        MANY,
        "0, 't', 'stuck', '{}', 1, CASE n WHEN 1 THEN later ELSE 0 END",
    ),
    (
        "one blocked key that is due",
        MANY,
        "0, 't', 'stuck', '{}', 1, 0",
    ),
    (
        "a key that is due behind one that is not",
        MANY,
        "0, 't', CASE n WHEN 20000 THEN 'due' ELSE 'stuck' END, '{}', 1, CASE n WHEN 1 THEN later ELSE 0 END",
    ),
    (
        "many blocked keys",
        MANY,
        "0, 't', 'stuck' || n, '{}', 1, later",
    ),
    (
        "many blocked keys that are due",
        MANY,
        "0, 't', 'stuck' || n % 10000, '{}', 1, 0",
    ),
    (
        "messages without a key",
        MANY,
        "0, 't', NULL, '{}', 1, later",
    ),
    ("delayed messages", MANY, "0, 't', 'a' || n, '{}', 0, later"),
    (
        "messages that are due, in the shard of another relay",
        MANY,
        "1, 't', 'a' || n, '{}', 0, 0",
    ),
    (
        "blocked keys that are due, in the shard of another relay",
        MANY,
        "1, 't', 'a' || n, '{}', 1, 0",
    ),
];

const MANY: u32 = 20_000;

struct Bench {
    database: Database,
    outbox: SqliteOutbox,
    steps: Arc<AtomicU64>,
    _directory: TempDir,
}

impl Bench {
    async fn new(count: u32, rows: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::builder(directory.path().join("plans.db"));
        let database = database.readers(1).open().await.unwrap();
        let outbox = SqliteOutbox::builder(&database)
            .shards(2)
            .open()
            .await
            .unwrap();
        let steps = Arc::default();
        let mut tx = database.begin().await.unwrap();
        let fill = format!(
            "WITH RECURSIVE waiting(n, later) AS (SELECT 1, 9000000000000000 UNION ALL
               SELECT n + 1, later FROM waiting)
             INSERT INTO outbox_deferred (shard, topic, key, envelope, blocked, due_at)
             SELECT {rows} FROM waiting LIMIT {count}"
        );
        run(&mut tx, &fill).await;
        let others: Vec<Message> = (0..5 * BATCH).map(other).collect();
        let entries: Vec<Entry<'_>> = others.iter().map(Entry::new).collect();
        outbox.enqueue_batch(&mut tx, &entries).await.unwrap();
        run(
            &mut tx,
            "UPDATE outbox SET shard = 0; UPDATE outbox_shards SET owner = 'relay', fence = 1",
        )
        .await;
        database.commit(tx).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        count_steps(&mut tx, &steps).await;
        drop(tx);
        count_steps(&mut database.reader().acquire().await.unwrap(), &steps).await;
        Self {
            database,
            outbox,
            steps,
            _directory: directory,
        }
    }

    async fn steps_of(&self, what: impl Future) -> u64 {
        let before = self.steps.load(Ordering::Relaxed);
        what.await;
        self.steps.load(Ordering::Relaxed) - before
    }

    async fn fetch(&self) -> u64 {
        let limit = Limit {
            messages: BATCH,
            bytes: usize::MAX,
        };
        self.steps_of(async { self.outbox.fetch(&leases(), limit, &[]).await.unwrap() })
            .await
    }

    /// Records a round: of the log one message is refused, one is held behind it, and the others are
    /// published; in the deferred table a batch is published, one is refused again and one is held.
    async fn record(&self) -> u64 {
        let batch = i64::from(BATCH);
        let done: Vec<i64> = sqlx::query_scalar(
            "SELECT position FROM outbox_deferred ORDER BY position LIMIT $1 + 0",
        )
        .bind(BATCH)
        .fetch_all(self.database.reader())
        .await
        .unwrap();
        let next = done.last().map_or(1, |last| last + 1);
        let refuse = |row_ref| Refusal {
            row_ref,
            attempts: 1,
            retry_after: Duration::from_secs(9),
            reason: "no".to_owned(),
        };
        let mut outcome = Outcome {
            acknowledged: (1..=batch).map(RowRef::Log).collect(),
            refused: vec![
                refuse(RowRef::Log(batch + 1)),
                refuse(RowRef::Blocked(next)),
            ],
            held: vec![RowRef::Log(batch + 2), RowRef::Delayed(next + 1)],
        };
        outcome
            .acknowledged
            .extend(done.into_iter().map(RowRef::Blocked));
        self.steps_of(async { self.outbox.record(&leases(), &outcome).await.unwrap() })
            .await
    }
}

fn leases() -> [ShardLease; 1] {
    let fence = FencingToken::new(1);
    [ShardLease { shard: 0, fence }]
}

fn other(number: u32) -> Message {
    let message = Message::builder()
        .id(number.to_string())
        .source("/suite")
        .topic("t")
        .kind("K");
    message.key(format!("other-{number}")).build().unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    sql.execute(connection).await.unwrap();
}

/// Counts the steps of the connection from now on.
async fn count_steps(connection: &mut SqliteConnection, steps: &Arc<AtomicU64>) {
    let steps = Arc::clone(steps);
    let mut handle = connection.lock_handle().await.unwrap();
    handle.set_progress_handler(1, move || {
        steps.fetch_add(1, Ordering::Relaxed);
        true
    });
}

#[tokio::test]
async fn a_round_costs_no_more_than_a_batch_however_many_rows_wait() {
    let mut too_much = Vec::new();
    for (what, count, rows) in WAITING {
        let bench = Bench::new(count, rows).await;
        for (call, steps) in [
            ("fetch", bench.fetch().await),
            ("record", bench.record().await),
        ] {
            let told = format!("{what}: {call} takes {steps} steps");
            println!("{told}");
            if steps > 200 * u64::from(BATCH) {
                too_much.push(told);
            }
        }
    }
    assert!(too_much.is_empty(), "{too_much:#?}");
}

#[tokio::test]
async fn old_deduplication_keys_are_found_by_index() {
    let (_, count, rows) = WAITING[0];
    let bench = Bench::new(count, rows).await;
    let sql = &bench.outbox.inner.statements;
    for (statement, wanted) in [
        (
            &sql.prune_keys,
            "INDEX outbox_deduplication_keys_by_use (used_at<?)",
        ),
        // Its first entry alone.
        (
            &sql.duties,
            "SEARCH outbox_deduplication_keys USING COVERING INDEX outbox_deduplication_keys_by_use",
        ),
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.as_str()));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(bench.database.reader())
            .await
            .unwrap();
        assert!(
            steps.iter().any(|step| step.3.contains(wanted)),
            "{steps:#?}"
        );
        let scans = "SCAN outbox_deduplication_keys";
        assert!(
            !steps.iter().any(|step| step.3.starts_with(scans)),
            "{steps:#?}"
        );
    }
}
