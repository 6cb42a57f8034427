//! An HTTP service that processes each request once, however often it is sent.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin idempotency -- DIRECTORY
//! $ curl -i -H 'idempotency-key: k1' -d '{"sku":"mug"}' localhost:3000/orders
//! ```
//!
//! Send the request again, kill the service with `kill -9`, start it and send it once more: there is
//! one order, and the answer is the same. `/charges` calls a payment provider, so its key is under
//! a lease. The leases are in memory here; take `RedisLeases` if there are several processes.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example shows what it does"
)]

use std::{error::Error, path::PathBuf};

use axum::{
    Extension, Json, Router, extract::State, http::StatusCode, response::Response, routing::post,
};
use mainstay_idempotency::{
    Answer, IdempotencyLayer, Keyed, Lease, MemoryLeases, SqliteRecords, Sweeper,
    database::sqlite::Database,
    http::Problem,
    sqlx::{self, SqliteConnection},
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct PlaceOrder {
    sku: String,
}

#[derive(Serialize)]
struct Placed {
    order: i64,
}

/// Everything written through `tx` commits together with the answer, or not at all.
async fn place(tx: &mut SqliteConnection, order: &PlaceOrder) -> Result<Answer, Problem> {
    if order.sku.is_empty() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "an order needs an article",
        ));
    }
    let order = sqlx::query_scalar("INSERT INTO orders (sku) VALUES ($1) RETURNING id")
        .bind(&order.sku)
        .fetch_one(tx)
        .await?;
    let answer = Answer::json(StatusCode::CREATED, &Placed { order })?;
    Ok(answer.header("location", format!("/orders/{order}")))
}

async fn post_order(
    State(records): State<SqliteRecords>,
    order: Keyed<PlaceOrder>,
) -> Result<Response, Problem> {
    order.run(&records, place).await
}

#[derive(Deserialize)]
struct Charge {
    cents: u32,
}

/// The provider is told the same key, so asking it again after a crash is one charge.
async fn post_charge(Extension(lease): Extension<Lease>, Json(charge): Json<Charge>) -> String {
    let key = lease.request().key.text();
    format!(
        "{} cents charged at the provider under key {key}\n",
        charge.cents
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: idempotency DIRECTORY [ADDRESS]";
    let directory = PathBuf::from(arguments.next().ok_or(usage)?);
    let address = arguments.next().unwrap_or("127.0.0.1:3000".to_owned());
    std::fs::create_dir_all(&directory)?;
    let db = Database::open(directory.join("shop.db")).await?;
    let mut tx = db.begin().await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, sku TEXT NOT NULL) STRICT",
    )
    .execute(&mut *tx)
    .await?;
    db.commit(tx).await?;

    let records = SqliteRecords::builder(&db).open().await?;
    let sweeper = Sweeper::new(records.clone()).spawn();
    let charges = Router::new()
        .route("/charges", post(post_charge))
        .route_layer(IdempotencyLayer::new(MemoryLeases::new()));
    let app = Router::new()
        .route("/orders", post(post_order))
        .with_state(records)
        .merge(charges);

    let listener = tokio::net::TcpListener::bind(address).await?;
    println!(
        "listening on http://{}; Ctrl-C ends it",
        listener.local_addr()?
    );
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("cannot listen for Ctrl-C, so the service ends: {error}");
        }
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted)
        .await?;
    sweeper.shutdown().await?;
    Ok(())
}
