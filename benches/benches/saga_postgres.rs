//! Steps of sagas in PostgreSQL beside the same statements by hand, on the server of
//! `MAINSTAY_POSTGRES_URL`.
#![expect(
    clippy::unwrap_used,
    clippy::future_not_send,
    reason = "a bench stops at the first error, and has one thread"
)]

#[path = "saga/steps.rs"]
mod steps;

use std::cell::RefCell;

use async_trait::async_trait;
use mainstay_benches::Bench;
use mainstay_database::postgres::Database;
use mainstay_outbox::postgres::PostgresOutbox;
use mainstay_saga::PostgresSagas;
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgConnection;
use steps::{ByHand, Row, Service, Step, compare, envelope};

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of sagas") else {
        return;
    };
    for shape in [(1, 1), (8, 1), (1, 50)] {
        let databases = RefCell::new(Vec::new());
        let new = || service(&bench, &server, &databases);
        compare::<_, _, Postgres>(&bench, "PostgreSQL", shape, new);
    }
}

/// Each has a database of its own, which lives as long as `databases`.
fn service(
    bench: &Bench,
    server: &Server,
    databases: &RefCell<Vec<TestDatabase>>,
) -> Service<PostgresSagas, PostgresOutbox> {
    bench.runtime.block_on(async {
        let server = server.database().await.unwrap();
        let database = Database::builder(server.url()).max_connections(9);
        let database = database.open().await.unwrap();
        databases.borrow_mut().push(server);
        let sagas = PostgresSagas::builder(&database).open().await.unwrap();
        let outbox = PostgresOutbox::builder(&database).source("/orders");
        Service::new(sagas, outbox.open().await.unwrap())
    })
}

struct Postgres;

fn column<'a, T>(steps: &'a [Step], value: impl Fn(&'a Step) -> T) -> Vec<T> {
    steps.iter().map(value).collect()
}

#[async_trait]
impl ByHand for Postgres {
    type Connection = PgConnection;

    async fn lock(connection: &mut PgConnection, runs: &[&str]) -> Vec<Row> {
        let lock: &'static str =
            "SELECT r.run, r.business_key, r.version, r.fingerprint, r.state, r.input,
               (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - r.saved_at
             FROM saga_runs AS r WHERE r.run = ANY($1) AND r.saga = $2 ORDER BY r.run FOR UPDATE";
        let rows = sqlx::query_as(lock).bind(runs).bind("place-order");
        rows.fetch_all(connection).await.unwrap()
    }

    async fn save(connection: &mut PgConnection, steps: &[Step]) {
        let save: &'static str = "WITH saved AS (
               UPDATE saga_runs AS r SET state = s.state, status = s.status, is_overdue = s.is_overdue, step = s.step,
                   saved_at = (extract(epoch FROM statement_timestamp()) * 1000000)::bigint,
                   wake_at = (extract(epoch FROM statement_timestamp()) * 1000000)::bigint + s.wake_in,
                   ended_at = CASE WHEN s.is_ended THEN (extract(epoch FROM statement_timestamp()) * 1000000)::bigint END
               FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bool[], $5::text[], $6::int8[], $7::bool[])
                 AS s (run, state, status, is_overdue, step, wake_in, is_ended)
               WHERE r.run = s.run)
             INSERT INTO saga_journal (run, at, entry)
             SELECT j.run, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint, j.entry
             FROM UNNEST($8::text[], $9::text[]) WITH ORDINALITY AS j (run, entry, place) ORDER BY j.place";
        let saved = sqlx::query(save)
            .bind(column(steps, |step| &*step.run))
            .bind(column(steps, |step| &*step.state))
            .bind(column(steps, |_| "running"))
            .bind(column(steps, |_| false))
            .bind(column(steps, |_| "Pay"))
            .bind(column(steps, |_| 30_000_000_i64))
            .bind(column(steps, |_| false))
            .bind(column(steps, |step| [&*step.run; 2]).concat())
            .bind(column(steps, |step| step.entries.each_ref().map(|entry| &**entry)).concat())
            .execute(connection)
            .await;
        assert_eq!(saved.unwrap().rows_affected(), 2 * steps.len() as u64);
    }

    async fn send(connection: &mut PgConnection, steps: &[Step]) {
        let send: &'static str = "INSERT INTO outbox (shard, topic, key, envelope, payload)
             SELECT shard, topic, key, envelope, payload
             FROM UNNEST($1::int4[], $2::text[], $3::text[], $4::text[], $5::bytea[])
               WITH ORDINALITY r (shard, topic, key, envelope, payload, n) ORDER BY n";
        sqlx::query(send)
            .bind(column(steps, |_| 0_i32))
            .bind(column(steps, |_| "payment-commands"))
            .bind(column(steps, |step| &*step.key))
            .bind(column(steps, |step| envelope(&step.run)))
            .bind(column(steps, |step| step.payload.as_bytes()))
            .execute(connection)
            .await
            .unwrap();
    }

    async fn bare(connection: &mut PgConnection, run: &str, state: &str) {
        let update: &'static str = "UPDATE saga_runs SET state = $2 WHERE run = $1";
        let updated = sqlx::query(update).bind(run).bind(state);
        updated.execute(connection).await.unwrap();
    }
}
