//! Event streams in SQLite beside the same statements by hand.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

#[path = "eventstore/comparisons.rs"]
mod comparisons;
#[path = "eventstore/orders.rs"]
mod orders;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use comparisons::{ByHand, READ, Row, SCAN, ScannedRow, compare};
use futures_util::TryStreamExt as _;
use mainstay_benches::{Bench, Scratch};
use mainstay_database::sqlite::Synchronous;
use mainstay_eventstore::SqliteEventStore;
use orders::{OrderEvent, encoded};
use sqlx::SqliteConnection;

const APPEND: &str =
    "INSERT INTO eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
     SELECT $1, $2 + 1, $3, $4, $5, CAST(unixepoch('subsec') * 1000000 AS INTEGER)
     WHERE (SELECT coalesce(max(version), 0) FROM eventstore_events WHERE stream = $1) = $2";
const APPEND_MANY: &str =
    "INSERT INTO eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
     SELECT $1, $2 + 1 + e.key, e.value ->> 0, e.value ->> 1, e.value ->> 2,
       CAST(unixepoch('subsec') * 1000000 AS INTEGER)
     FROM json_each($3) AS e
     WHERE (SELECT coalesce(max(version), 0) FROM eventstore_events WHERE stream = $1) = $2";

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    compare::<_, Sqlite>(&bench, "SQLite", |_| store(&bench, &scratch));
}

/// Each has a file of its own.
fn store(bench: &Bench, scratch: &Scratch) -> SqliteEventStore {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = NEXT.fetch_add(1, Relaxed).to_string();
    let database = scratch.database(&bench.runtime, &name, Synchronous::Full);
    let opening = SqliteEventStore::builder(&database).open();
    bench.runtime.block_on(opening).unwrap()
}

struct Sqlite;

#[async_trait]
impl ByHand for Sqlite {
    type Connection = SqliteConnection;

    async fn append(
        connection: &mut SqliteConnection,
        stream: &str,
        version: i64,
        events: &[OrderEvent],
    ) {
        let encoded: Vec<_> = events.iter().map(encoded).collect();
        let appending = if let [(kind, payload)] = &*encoded {
            let append = sqlx::query(APPEND).bind(stream).bind(version);
            append.bind(*kind).bind(1_i32).bind(payload)
        } else {
            let rows: Vec<_> = encoded
                .iter()
                .map(|(kind, payload)| (kind, 1, payload))
                .collect();
            let rows = serde_json::to_string(&rows).unwrap();
            sqlx::query(APPEND_MANY)
                .bind(stream)
                .bind(version)
                .bind(rows)
        };
        let appended = appending.execute(connection).await.unwrap();
        assert!(appended.rows_affected() > 0);
    }

    async fn read(connection: &mut SqliteConnection, stream: &str) -> Vec<Row> {
        let rows = sqlx::query_as(READ).bind(stream).bind(0_i64).bind(i64::MAX);
        rows.fetch_all(connection).await.unwrap()
    }

    async fn scan(connection: &mut SqliteConnection, visit: &mut (dyn FnMut(ScannedRow) + Send)) {
        let mut rows = sqlx::query_as(SCAN).fetch(connection);
        while let Some(row) = rows.try_next().await.unwrap() {
            visit(row);
        }
    }
}
