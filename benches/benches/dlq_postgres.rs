//! The dead letter queue in PostgreSQL beside the plain inbox, on the server of `MAINSTAY_POSTGRES_URL`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints what it finds and stops at the first error"
)]

#[path = "dlq/admission.rs"]
mod admission;
#[path = "dlq/desk.rs"]
mod desk;
#[path = "dlq/poison.rs"]
mod poison;

use std::cell::RefCell;

use mainstay_benches::Bench;
use mainstay_database::postgres::Database;
use mainstay_dlq::{DeadLetterQueue, postgres::PostgresDeadLetters};
use mainstay_inbox::{HandlerError, Handlers, PostgresInbox, Received, store::WorkerStore as _};
use mainstay_testkit::postgres::{Server, TestDatabase};
use sqlx::PgConnection;

use admission::Effects;
use poison::{Placed, State};

type Queue = DeadLetterQueue<PostgresInbox, PostgresDeadLetters>;

struct Bodies;

impl Effects<PgConnection> for Bodies {
    async fn write(connection: &mut PgConnection, bodies: &[&str]) {
        sqlx::query("INSERT INTO effects (body) SELECT * FROM unnest($1::text[])")
            .bind(bodies)
            .execute(connection)
            .await
            .unwrap();
    }
}

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of the dead letter queue") else {
        return;
    };
    let on = "PostgreSQL";
    let databases = RefCell::new(Vec::new());
    let open = |_: &str| {
        let (database, inbox, queue) = open(&bench, &server);
        databases.borrow_mut().push(database);
        (inbox, queue)
    };
    admission::compare::<_, _, Bodies>(&bench, on, &open);
    poison::compare(&bench, on, |name| open(name).1, register);
    if bench.wants("reads") {
        let queue = open("reads").1;
        bench.runtime.block_on(fill(&queue, bench.scaled(100_000)));
        desk::reads(&bench, on, &queue);
    }
    desk::bulk(&bench, on, &open("bulk").1, register);
}

fn register(handlers: Handlers<PgConnection, State>) -> Handlers<PgConnection, State> {
    handlers.on(one)
}

async fn one(
    tx: &mut PgConnection,
    placed: Received<Placed>,
    state: State,
) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO effects (body) VALUES ($1)")
        .bind(&placed.event.body)
        .execute(tx)
        .await?;
    state.handled(&placed.event)
}

/// The plain inbox, and the queue around it, in a database of their own beside an empty table `effects`.
fn open(bench: &Bench, server: &Server) -> (TestDatabase, PostgresInbox, Queue) {
    bench.runtime.block_on(async {
        let server = server.database().await.unwrap();
        let database = Database::connect(&server.url()).await.unwrap();
        let create = "CREATE TABLE effects (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body TEXT NOT NULL)";
        sqlx::query(create).execute(database.pool()).await.unwrap();
        let inbox = PostgresInbox::builder(&database).open().await.unwrap();
        let queue = DeadLetterQueue::builder(inbox.clone()).open().await.unwrap();
        (server, inbox, queue)
    })
}

/// Dead letters of so many keys, with 50 causes.
async fn fill(queue: &Queue, count: usize) {
    let pool = queue.database().pool();
    for statement in [
        "INSERT INTO dlq_messages (consumer, topic, partition, \"offset\", source, message_id, key, kind, state, failure, attempts, error,
             fingerprint, kept_at, failed_at)
         SELECT 'billing', 'orders', 0, i, '/benches', 'm-' || i, 'key-' || i, 'Placed', 'dead', 'permanent', 1, 'as planned',
             lpad(to_hex(i % 50), 16, '0'), i, i FROM generate_series(1, $1::int8) i",
        "INSERT INTO dlq_bodies (message, revision, record, payload)
         SELECT i, 0, '{\"raw\":{\"key\":null,\"headers\":[],\"reason\":\"a bench\"}}', decode(repeat('00', 256), 'hex')
         FROM generate_series(1, $1::int8) i",
        "INSERT INTO dlq_blocked_keys (consumer, topic, key)
         SELECT 'billing', 'orders', 'key-' || i FROM generate_series(1, $1::int8) i",
    ] {
        let count = i64::try_from(count).unwrap();
        sqlx::query(statement).bind(count).execute(pool).await.unwrap();
    }
    sqlx::raw_sql("ANALYZE").execute(pool).await.unwrap();
}
