//! Event streams in PostgreSQL beside the same statements by hand, on the server of `MAINSTAY_POSTGRES_URL`.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

#[path = "eventstore/comparisons.rs"]
mod comparisons;
#[path = "eventstore/orders.rs"]
mod orders;

use std::cell::RefCell;

use async_trait::async_trait;
use comparisons::{ByHand, READ, Row, SCAN, ScannedRow, compare};
use futures_util::TryStreamExt as _;
use mainstay_benches::Bench;
use mainstay_database::postgres::Database;
use mainstay_eventstore::PostgresEventStore;
use mainstay_testkit::postgres::{Server, TestDatabase};
use orders::{OrderEvent, encoded};
use sqlx::PgConnection;

const APPEND: &str =
    "INSERT INTO eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
     SELECT $1, $2::int8 + 1, $3, $4, $5, (extract(epoch FROM statement_timestamp()) * 1000000)::int8
     WHERE (SELECT coalesce(max(version), 0) FROM eventstore_events WHERE stream = $1) = $2
     ON CONFLICT DO NOTHING";
const APPEND_MANY: &str = "WITH first AS (
       INSERT INTO eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
       SELECT $1, $2::int8 + 1, $3, $4, $5, (extract(epoch FROM statement_timestamp()) * 1000000)::int8
       WHERE (SELECT coalesce(max(version), 0) FROM eventstore_events WHERE stream = $1) = $2
       ON CONFLICT DO NOTHING RETURNING version, recorded_at)
     INSERT INTO eventstore_events (stream, version, kind, schema_version, payload, recorded_at)
     SELECT $1, first.version + e.n, e.kind, e.schema_version, e.payload, first.recorded_at
     FROM first, UNNEST($6::text[], $7::int4[], $8::text[])
       WITH ORDINALITY AS e (kind, schema_version, payload, n)";

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of eventstore") else {
        return;
    };
    let databases = RefCell::new(Vec::new());
    compare::<_, Postgres>(&bench, "PostgreSQL", |tasks| {
        store(&bench, &server, &databases, tasks)
    });
}

/// Each has a database of its own, which lives as long as `databases`.
fn store(
    bench: &Bench,
    server: &Server,
    databases: &RefCell<Vec<TestDatabase>>,
    tasks: usize,
) -> PostgresEventStore {
    bench.runtime.block_on(async {
        let server = server.database().await.unwrap();
        let connections = u32::try_from(tasks).unwrap() + 1;
        let database = Database::builder(server.url()).max_connections(connections);
        let database = database.open().await.unwrap();
        databases.borrow_mut().push(server);
        PostgresEventStore::builder(&database).open().await.unwrap()
    })
}

struct Postgres;

#[async_trait]
impl ByHand for Postgres {
    type Connection = PgConnection;

    async fn append(
        connection: &mut PgConnection,
        stream: &str,
        version: i64,
        events: &[OrderEvent],
    ) {
        let encoded: Vec<_> = events.iter().map(encoded).collect();
        let (kind, payload) = &encoded[0];
        let text = if encoded.len() == 1 {
            APPEND
        } else {
            APPEND_MANY
        };
        let mut appending = sqlx::query(text)
            .bind(stream)
            .bind(version)
            .bind(*kind)
            .bind(1_i32)
            .bind(payload);
        if encoded.len() > 1 {
            let others = &encoded[1..];
            let kinds: Vec<&str> = others.iter().map(|(kind, _)| *kind).collect();
            let payloads: Vec<&str> = others.iter().map(|(_, payload)| &**payload).collect();
            appending = appending
                .bind(kinds)
                .bind(vec![1_i32; others.len()])
                .bind(payloads);
        }
        let appended = appending.execute(connection).await.unwrap();
        assert!(appended.rows_affected() > 0);
    }

    async fn read(connection: &mut PgConnection, stream: &str) -> Vec<Row> {
        let rows = sqlx::query_as(READ).bind(stream).bind(0_i64).bind(i64::MAX);
        rows.fetch_all(connection).await.unwrap()
    }

    async fn scan(connection: &mut PgConnection, visit: &mut (dyn FnMut(ScannedRow) + Send)) {
        let mut rows = sqlx::query_as(SCAN).fetch(connection);
        while let Some(row) = rows.try_next().await.unwrap() {
            visit(row);
        }
    }
}
