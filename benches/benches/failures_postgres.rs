//! A worker on PostgreSQL whose handlers fail now and then, beside the same worker without failures, on the server of
//! `MAINSTAY_POSTGRES_URL`.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first error")]

#[path = "worker/failing.rs"]
mod failing;

use mainstay_benches::Bench;
use mainstay_database::postgres::Database;
use mainstay_inbox::{HandlerError, Handlers, PostgresInbox, Received};
use mainstay_testkit::postgres::Server;
use sqlx::PgConnection;

use failing::{Failing, Placed};

fn main() {
    let Some(bench) = Bench::start() else {
        return;
    };
    let Some(server) = Server::for_suite("the benches of the worker") else {
        return;
    };
    failing::compare(
        &bench,
        "PostgreSQL",
        1_000,
        |_| {
            bench.runtime.block_on(async {
            let server = server.database().await.unwrap();
            let database = Database::connect(&server.url()).await.unwrap();
            let create = "CREATE TABLE effects (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body TEXT NOT NULL)";
            sqlx::query(create).execute(database.pool()).await.unwrap();
            let inbox = PostgresInbox::builder(&database).open().await.unwrap();
            (inbox, server)
        })
        },
        |handlers: Handlers<PgConnection, Failing>, batches| {
            if batches {
                handlers.on_batch(several)
            } else {
                handlers.on(one)
            }
        },
    );
}

async fn one(
    tx: &mut PgConnection,
    placed: Received<Placed>,
    failing: Failing,
) -> Result<(), HandlerError> {
    let effect = sqlx::query("INSERT INTO effects (body) VALUES ($1)");
    effect.bind(&placed.event.body).execute(tx).await?;
    failing.call(&[placed.position.offset])
}

async fn several(
    tx: &mut PgConnection,
    placed: Vec<Received<Placed>>,
    failing: Failing,
) -> Result<(), HandlerError> {
    let bodies: Vec<_> = placed
        .iter()
        .map(|placed| placed.event.body.as_str())
        .collect();
    sqlx::query("INSERT INTO effects (body) SELECT unnest($1::text[])")
        .bind(bodies)
        .execute(tx)
        .await?;
    let offsets: Vec<_> = placed.iter().map(|placed| placed.position.offset).collect();
    failing.call(&offsets)
}
