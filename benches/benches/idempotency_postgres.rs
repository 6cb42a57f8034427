//! Idempotency records in PostgreSQL beside the same statements by hand, on the server of `MAINSTAY_POSTGRES_URL`.
#![expect(
    clippy::unwrap_used,
    clippy::future_not_send,
    reason = "a bench stops at the first error, and has one thread"
)]

#[path = "idempotency/latencies.rs"]
mod latencies;

use std::{cell::Cell, num::NonZero};

use futures_util::future::join_all;
use latencies::Latencies;
use mainstay_benches::{Bench, Comparison, Side, Took, timed};
use mainstay_database::postgres::Database;
use mainstay_idempotency::{
    Answer, Begun, KeyedRequest, PostgresRecords, Records as _, Scope, Settled,
};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgConnection;

const OURS: &str = "idempotency records";
const BY_HAND: &str = "the same statements by hand";
const WITHOUT: &str = "the transaction without a key";
const SELECT_1: &str = "SELECT 1";

/// As much as other benches send.
const BODY: [u8; 256] = [b'x'; 256];

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of idempotency") else {
        return;
    };
    for connections in [1, 8, 32].map(|count| NonZero::new(count).unwrap()) {
        fresh(&bench, &server, connections);
    }
    replay(&bench, &server);
}

/// A service with an application's table, in a database of its own.
struct Service {
    database: Database,
    records: PostgresRecords,
    next: Cell<u64>,
    _server: TestDatabase,
}

impl Service {
    fn new(bench: &Bench, server: &Server, connections: u32) -> Self {
        bench.runtime.block_on(async {
            let server = server.database().await.unwrap();
            let database = Database::builder(server.url()).max_connections(connections + 1);
            let database = database.open().await.unwrap();
            let create = "CREATE TABLE orders (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL)";
            sqlx::query(create).execute(database.pool()).await.unwrap();
            Self {
                records: PostgresRecords::builder(&database).open().await.unwrap(),
                database,
                next: Cell::new(0),
                _server: server,
            }
        })
    }

    /// A request that was never made.
    fn request(&self) -> KeyedRequest {
        let number = self.next.replace(self.next.get() + 1);
        let scope = Scope::new("acme", "POST /orders").unwrap();
        // As random as a client's UUID: keys do not come in order.
        let text = format!(
            "{:032x}",
            u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
        );
        KeyedRequest::new(scope.key(&text).unwrap(), BODY)
    }
}

fn answer() -> Answer {
    Answer::new(201_u16, BODY.to_vec()).header("location", "/orders/1")
}

async fn business(connection: &mut PgConnection) {
    sqlx::query("INSERT INTO orders (body) VALUES ($1)")
        .bind(&BODY[..])
        .execute(connection)
        .await
        .unwrap();
}

async fn begin_by_hand(connection: &mut PgConnection, request: &KeyedRequest, lock: i64) -> bool {
    type Row = (
        Option<bool>,
        Option<Vec<u8>>,
        Option<i16>,
        Option<String>,
        Option<Vec<u8>>,
    );
    let (key, scope) = (&request.key, request.key.scope());
    let row: Row = sqlx::query_as(
        "SELECT CASE WHEN r.expires_at > statement_timestamp() THEN NULL ELSE pg_try_advisory_xact_lock($4) END,
                r.fingerprint, r.status, r.headers, r.body
         FROM (SELECT) AS one LEFT JOIN idempotency_records AS r
           ON r.tenant = $1 AND r.operation = $2 AND r.key = $3",
    )
    .bind(scope.tenant())
    .bind(scope.operation())
    .bind(key.text())
    .bind(lock)
    .fetch_one(connection)
    .await
    .unwrap();
    row.0 == Some(true) && row.1.is_none()
}

async fn complete_by_hand(connection: &mut PgConnection, request: &KeyedRequest) {
    let (key, scope) = (&request.key, request.key.scope());
    let written = sqlx::query(
        "INSERT INTO idempotency_records
           (tenant, operation, key, fingerprint, status, headers, body, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp() + $8 * interval '1 microsecond')",
    )
    .bind(scope.tenant())
    .bind(scope.operation())
    .bind(key.text())
    .bind(&request.fingerprint.as_bytes()[..])
    .bind(201_i16)
    .bind(r#"[["location","/orders/1"]]"#)
    .bind(&BODY[..])
    .bind(86_400_000_000_i64)
    .execute(connection)
    .await
    .unwrap();
    assert_eq!(written.rows_affected(), 1);
}

#[derive(Clone, Copy)]
enum How {
    Ours,
    ByHand,
    Without,
}

async fn one(service: &Service, request: &KeyedRequest, how: How) {
    let mut tx = service.database.begin().await.unwrap();
    match how {
        How::Ours => {
            let begun = service.records.begin(&mut tx, request).await.unwrap();
            let Begun::Fresh(claim) = begun else {
                unreachable!("the key is new");
            };
            business(&mut tx).await;
            service
                .records
                .complete(&mut tx, claim, &answer())
                .await
                .unwrap();
        }
        How::ByHand => {
            let lock = u128::from_str_radix(request.key.text(), 16).unwrap();
            let lock = i64::try_from(lock >> 65).unwrap();
            assert!(begin_by_hand(&mut tx, request, lock).await);
            business(&mut tx).await;
            complete_by_hand(&mut tx, request).await;
        }
        How::Without => business(&mut tx).await,
    }
    service.database.commit(tx).await.unwrap();
}

fn fresh(bench: &Bench, server: &Server, connections: NonZero<u32>) {
    let name =
        format!("idempotency on PostgreSQL: a key for a transaction, {connections} connections");
    if !bench.wants(&name) {
        return;
    }
    let [ours, by_hand, without] = [(); 3].map(|()| Service::new(bench, server, connections.get()));
    let count = bench.scaled(200).max(connections.get() as usize);
    let times = [(); 3].map(|()| Latencies::new());
    let round = |service: &Service, how: How, times: &Latencies| -> Took {
        let requests: Vec<_> = (0..count).map(|_| service.request()).collect();
        let share = count.div_ceil(connections.get() as usize);
        timed(|| {
            bench
                .runtime
                .block_on(join_all(requests.chunks(share).map(async |share| {
                    for request in share {
                        times.of(one(service, request, how)).await;
                    }
                })))
        })
    };
    let mut sides = [
        Side::new(OURS, || round(&ours, How::Ours, &times[0])),
        Side::new(BY_HAND, || round(&by_hand, How::ByHand, &times[1])),
        Side::new(WITHOUT, || round(&without, How::Without, &times[2])),
    ];
    let comparison = Comparison::new(&name, count).target(BY_HAND, 0.95);
    let comparison = if connections.get() <= 8 {
        comparison.target(WITHOUT, 0.75)
    } else {
        comparison
    };
    bench.compare(&comparison, &mut sides);
    for (name, times) in [OURS, BY_HAND, WITHOUT].into_iter().zip(&times) {
        times.print(name);
    }
}

fn replay(bench: &Bench, server: &Server) {
    let name = "idempotency on PostgreSQL: an answer given again";
    if !bench.wants(name) {
        return;
    }
    let service = Service::new(bench, server, 1);
    let request = service.request();
    bench.runtime.block_on(one(&service, &request, How::Ours));
    let connection = bench.runtime.block_on(service.database.pool().acquire());
    let connection = std::cell::RefCell::new(connection.unwrap().detach());
    let count = bench.scaled(1_000);
    let times = [(); 3].map(|()| Latencies::new());
    let mut sides = [
        Side::new(OURS, || {
            let mut connection = connection.borrow_mut();
            timed(|| {
                bench.runtime.block_on(async {
                    for _ in 0..count {
                        let beginning = service.records.begin(&mut connection, &request);
                        let begun = times[0].of(beginning).await.unwrap();
                        assert!(matches!(begun, Begun::Settled(Settled::Done(_))));
                    }
                });
            })
        }),
        Side::new(BY_HAND, || {
            let mut connection = connection.borrow_mut();
            timed(|| {
                bench.runtime.block_on(async {
                    for _ in 0..count {
                        let beginning = begin_by_hand(&mut connection, &request, 7);
                        assert!(!times[1].of(beginning).await);
                    }
                });
            })
        }),
        Side::new(SELECT_1, || {
            let mut connection = connection.borrow_mut();
            timed(|| {
                bench.runtime.block_on(async {
                    for _ in 0..count {
                        let selecting = sqlx::query_scalar("SELECT 1").fetch_one(&mut *connection);
                        let one: i32 = times[2].of(selecting).await.unwrap();
                        assert_eq!(one, 1);
                    }
                });
            })
        }),
    ];
    bench.compare(
        &Comparison::new(name, count).target(SELECT_1, 0.85),
        &mut sides,
    );
    for (name, times) in [OURS, BY_HAND, SELECT_1].into_iter().zip(&times) {
        times.print(name);
    }
}
