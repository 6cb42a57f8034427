//! Steps of sagas in SQLite beside the same statements by hand.
#![expect(
    clippy::unwrap_used,
    clippy::future_not_send,
    reason = "a bench stops at the first error, and has one thread"
)]

#[path = "saga/steps.rs"]
mod steps;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use mainstay_benches::{Bench, Scratch};
use mainstay_database::sqlite::Synchronous;
use mainstay_outbox::sqlite::SqliteOutbox;
use mainstay_saga::SqliteSagas;
use sqlx::SqliteConnection;
use steps::{ByHand, Row, Service, Step, compare, envelope};

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    for shape in [(1, 1), (8, 1), (1, 50)] {
        let new = || service(&bench, &scratch);
        compare::<_, _, Sqlite>(&bench, "SQLite", shape, new);
    }
}

/// Each has a file of its own.
fn service(bench: &Bench, scratch: &Scratch) -> Service<SqliteSagas, SqliteOutbox> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = NEXT.fetch_add(1, Relaxed).to_string();
    let database = scratch.database(&bench.runtime, &name, Synchronous::Full);
    bench.runtime.block_on(async {
        let sagas = SqliteSagas::builder(&database).open().await.unwrap();
        let outbox = SqliteOutbox::builder(&database).source("/orders");
        Service::new(sagas, outbox.open().await.unwrap())
    })
}

struct Sqlite;

#[async_trait]
impl ByHand for Sqlite {
    type Connection = SqliteConnection;

    async fn lock(connection: &mut SqliteConnection, runs: &[&str]) -> Vec<Row> {
        let lock: &'static str = "SELECT r.run, r.business_key, r.version, r.fingerprint, r.state, r.input,
               CAST(unixepoch('subsec') * 1000000 AS INTEGER) - r.saved_at
             FROM saga_runs AS r WHERE r.run IN (SELECT value FROM json_each($1)) AND +r.saga = $2 ORDER BY r.run";
        let rows = sqlx::query_as(lock)
            .bind(serde_json::to_string(runs).unwrap())
            .bind("place-order");
        rows.fetch_all(connection).await.unwrap()
    }

    async fn save(connection: &mut SqliteConnection, steps: &[Step]) {
        let update: &'static str = "UPDATE saga_runs SET state = s.value ->> 1, status = s.value ->> 2, is_overdue = s.value ->> 3,
               step = s.value ->> 4, saved_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER),
               wake_at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) + (s.value ->> 5),
               ended_at = CASE WHEN s.value ->> 6 THEN CAST(unixepoch('subsec') * 1000000 AS INTEGER) END
             FROM json_each($1) AS s WHERE run = s.value ->> 0";
        let rows: Vec<_> = (steps.iter())
            .map(|step| {
                (
                    &step.run,
                    &step.state,
                    "running",
                    false,
                    "Pay",
                    30_000_000,
                    false,
                )
            })
            .collect();
        let rows = serde_json::to_string(&rows).unwrap();
        let updated = sqlx::query(update)
            .bind(rows)
            .execute(&mut *connection)
            .await;
        assert_eq!(updated.unwrap().rows_affected(), steps.len() as u64);
        let append: &'static str = "INSERT INTO saga_journal (run, at, entry)
             SELECT value ->> 0, CAST(unixepoch('subsec') * 1000000 AS INTEGER), value ->> 1 FROM json_each($1) ORDER BY key";
        let entries: Vec<_> = (steps.iter())
            .flat_map(|step| step.entries.iter().map(|entry| (&step.run, entry)))
            .collect();
        let entries = serde_json::to_string(&entries).unwrap();
        let appended = sqlx::query(append).bind(entries).execute(connection).await;
        assert_eq!(appended.unwrap().rows_affected(), 2 * steps.len() as u64);
    }

    async fn send(connection: &mut SqliteConnection, steps: &[Step]) {
        let send: &'static str = "INSERT INTO outbox (shard, topic, key, envelope, payload)
             SELECT 0, value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BLOB) FROM json_each($1) ORDER BY key";
        let rows: Vec<_> = (steps.iter())
            .map(|step| {
                (
                    "payment-commands",
                    &step.key,
                    envelope(&step.run),
                    &step.payload,
                )
            })
            .collect();
        let rows = serde_json::to_string(&rows).unwrap();
        sqlx::query(send)
            .bind(rows)
            .execute(connection)
            .await
            .unwrap();
    }

    async fn bare(connection: &mut SqliteConnection, run: &str, state: &str) {
        let update: &'static str = "UPDATE saga_runs SET state = $2 WHERE run = $1";
        let updated = sqlx::query(update).bind(run).bind(state);
        updated.execute(connection).await.unwrap();
    }
}
