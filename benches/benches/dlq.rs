//! The dead letter queue in a SQLite file beside the plain inbox.
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

use mainstay_benches::{Bench, Scratch};
use mainstay_database::sqlite::Synchronous;
use mainstay_dlq::{DeadLetterQueue, sqlite::SqliteDeadLetters};
use mainstay_inbox::{HandlerError, Handlers, Received, SqliteInbox};
use sqlx::SqliteConnection;

use admission::Effects;
use poison::{Placed, State};

type Queue = DeadLetterQueue<SqliteInbox, SqliteDeadLetters>;

struct Bodies;

impl Effects<SqliteConnection> for Bodies {
    async fn write(connection: &mut SqliteConnection, bodies: &[&str]) {
        sqlx::query("INSERT INTO effects (body) SELECT value FROM json_each($1)")
            .bind(serde_json::to_string(bodies).unwrap())
            .execute(connection)
            .await
            .unwrap();
    }
}

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
    let on = "SQLite, FULL";
    let open = |name: &str| open(&bench, &scratch, name);
    admission::compare::<_, _, Bodies>(&bench, on, |name| {
        let queue = open(name);
        (queue.0, queue.1)
    });
    poison::compare(&bench, on, |name| open(name).1, register);
    if bench.wants("reads") {
        let queue = open("reads").1;
        bench.runtime.block_on(fill(&queue, bench.scaled(100_000)));
        desk::reads(&bench, on, &queue);
    }
    desk::bulk(&bench, on, &open("bulk").1, register);
}

fn register(handlers: Handlers<SqliteConnection, State>) -> Handlers<SqliteConnection, State> {
    handlers.on(one)
}

async fn one(
    tx: &mut SqliteConnection,
    placed: Received<Placed>,
    state: State,
) -> Result<(), HandlerError> {
    sqlx::query("INSERT INTO effects (body) VALUES ($1)")
        .bind(&placed.event.body)
        .execute(tx)
        .await?;
    state.handled(&placed.event)
}

/// The plain inbox, and the queue around it, beside an empty table `effects`.
fn open(bench: &Bench, scratch: &Scratch, name: &str) -> (SqliteInbox, Queue) {
    let database = scratch.database(&bench.runtime, name, Synchronous::Full);
    bench.runtime.block_on(async {
        let mut tx = database.begin().await.unwrap();
        sqlx::query("CREATE TABLE IF NOT EXISTS effects (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT")
            .execute(&mut *tx)
            .await
            .unwrap();
        database.commit(tx).await.unwrap();
        let inbox = SqliteInbox::builder(&database).open().await.unwrap();
        let queue = DeadLetterQueue::builder(inbox.clone())
            .open()
            .await
            .unwrap();
        (inbox, queue)
    })
}

/// Dead letters of so many keys, with 50 causes.
async fn fill(queue: &Queue, count: usize) {
    use mainstay_inbox::store::WorkerStore as _;
    let database = queue.database();
    let mut tx = database.begin().await.unwrap();
    for statement in [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO dlq_messages (consumer, topic, partition, \"offset\", source, message_id, key, kind, state, failure, attempts, error,
             fingerprint, kept_at, failed_at)
         SELECT 'billing', 'orders', 0, i, '/benches', 'm-' || i, 'key-' || i, 'Placed', 'dead', 'permanent', 1, 'as planned',
             printf('%016x', i % 50), i, i FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO dlq_bodies (message, revision, record, payload)
         SELECT i, 0, '{\"raw\":{\"key\":null,\"headers\":[],\"reason\":\"a bench\"}}', zeroblob(256) FROM n",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
         INSERT INTO dlq_blocked_keys (consumer, topic, key) SELECT 'billing', 'orders', 'key-' || i FROM n",
    ] {
        sqlx::query(statement)
            .bind(i64::try_from(count).unwrap())
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    database.commit(tx).await.unwrap();
}
