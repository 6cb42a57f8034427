//! Reads the log that the program `outbox` writes, and makes one invoice per order.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin inbox -- DIRECTORY
//! ```
//!
//! Runs until Ctrl-C. Kill it at any moment, run it again, run two of them: each order has one
//! invoice.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::PathBuf};

use mainstay_inbox::{
    HandlerError, Received, SqliteInbox, Worker,
    database::sqlite::Database,
    messaging::{Event, sqlite::Broker},
    sqlx::{self, SqliteConnection},
};
use serde::{Deserialize, Serialize};

/// No UNIQUE on `order_id`: the inbox sees to it that there is one invoice.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS invoices (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, cents INTEGER NOT NULL) STRICT";

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    id: String,
    cents: i64,
}

impl Event for OrderPlaced {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";
}

async fn bill(tx: &mut SqliteConnection, order: Received<OrderPlaced>) -> Result<(), HandlerError> {
    let OrderPlaced { id, cents } = order.event;
    let invoice: i64 =
        sqlx::query_scalar("INSERT INTO invoices (order_id, cents) VALUES ($1, $2) RETURNING id")
            .bind(&id)
            .bind(cents)
            .fetch_one(tx)
            .await?;
    println!("invoice {invoice}: order {id}, {cents} cents");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: inbox DIRECTORY")?);
    std::fs::create_dir_all(&directory)?;
    let broker = Broker::open(directory.join("log.db")).await?;
    broker.create_topic("orders", 4).await?;
    let consumer = broker.consumer("billing").subscribe(["orders"]).await?;

    let db = Database::open(directory.join("billing.db")).await?;
    let mut tx = db.begin().await?;
    sqlx::query(SCHEMA).execute(&mut *tx).await?;
    db.commit(tx).await?;
    let inbox = SqliteInbox::builder(&db).open().await?;

    println!(
        "reading {}; Ctrl-C ends it",
        directory.join("log.db").display()
    );
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            println!("cannot listen for Ctrl-C, so the example ends: {error}");
        }
    };
    let worker = Worker::new(inbox, consumer).on(bill);
    Ok(worker.run_until(interrupted).await?)
}
