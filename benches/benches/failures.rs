//! A worker on SQLite whose handlers fail now and then, beside the same worker without failures.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

#[path = "worker/failing.rs"]
mod failing;

use mainstay_benches::{Bench, Scratch};
use mainstay_database::sqlite::Synchronous;
use mainstay_inbox::{HandlerError, Handlers, Received, SqliteInbox};
use sqlx::SqliteConnection;

use failing::{Failing, Placed};

const EFFECT: &str = "INSERT INTO effects (body) VALUES ($1)";

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    failing::compare(
        &bench,
        "SQLite, FULL",
        1_000,
        |name| {
            let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"));
            let database = scratch.database(&bench.runtime, name, Synchronous::Full);
            let inbox = bench.runtime.block_on(async {
                let mut tx = database.begin().await.unwrap();
                sqlx::query(
                    "CREATE TABLE effects (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT",
                )
                .execute(&mut *tx)
                .await
                .unwrap();
                database.commit(tx).await.unwrap();
                SqliteInbox::builder(&database).open().await.unwrap()
            });
            (inbox, scratch)
        },
        |handlers: Handlers<SqliteConnection, Failing>, batches| {
            if batches {
                handlers.on_batch(several)
            } else {
                handlers.on(one)
            }
        },
    );
}

async fn one(
    tx: &mut SqliteConnection,
    placed: Received<Placed>,
    failing: Failing,
) -> Result<(), HandlerError> {
    sqlx::query(EFFECT)
        .bind(&placed.event.body)
        .execute(tx)
        .await?;
    failing.call(&[placed.position.offset])
}

async fn several(
    tx: &mut SqliteConnection,
    placed: Vec<Received<Placed>>,
    failing: Failing,
) -> Result<(), HandlerError> {
    let bodies: Vec<_> = placed.iter().map(|placed| &placed.event.body).collect();
    sqlx::query("INSERT INTO effects (body) SELECT value FROM json_each($1)")
        .bind(serde_json::to_string(&bodies)?)
        .execute(tx)
        .await?;
    let offsets: Vec<_> = placed.iter().map(|placed| placed.position.offset).collect();
    failing.call(&offsets)
}
