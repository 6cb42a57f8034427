//! Reads the log that the example `place_orders` of mainstay-outbox writes, and makes one invoice per order.
//!
//! ```console
//! $ cargo run -p mainstay-inbox --features sqlite --example bill_orders -- DIRECTORY
//! ```
//!
//! Runs until Ctrl-C. Kill it at any moment, run it again, run two of them: each order has one invoice.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::PathBuf, sync::Arc};

use mainstay_database::{
    Namespace, Transactions as _,
    sqlite::{Database, classify},
};
use mainstay_inbox::{
    HandlerError, Handlers, Received, Worker,
    sqlite::{SqliteInbox, sqlx},
};
use mainstay_messaging::{
    Group, StartAt, Topic,
    event::Event,
    sqlite::{Broker, Options},
};
use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use tokio_util::sync::CancellationToken;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS invoices (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, cents INTEGER NOT NULL) STRICT";

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    order: String,
    cents: i64,
}

impl Event for OrderPlaced {
    const KIND: &'static str = "OrderPlaced";
    const VERSION: u32 = 1;
}

/// No UNIQUE on `order_id`: that there is one invoice is the inbox's doing.
async fn bill(
    _state: (),
    connection: &mut SqliteConnection,
    received: Received<OrderPlaced>,
) -> Result<(), HandlerError> {
    let OrderPlaced { order, cents } = received.event;
    let id: i64 =
        sqlx::query_scalar("INSERT INTO invoices (order_id, cents) VALUES ($1, $2) RETURNING id")
            .bind(&order)
            .bind(cents)
            .fetch_one(connection)
            .await
            .map_err(classify)?;
    println!("invoice {id}: order {order}, {cents} cents");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("usage: bill_orders DIRECTORY")?,
    );
    std::fs::create_dir_all(&directory)?;
    let topic = Topic::from_static("orders");
    let log = Broker::open(
        Database::open(directory.join("log.db")).await?,
        Options::default(),
    )
    .await?;
    log.create_topic(&topic, 4).await?;

    let database = Database::open(directory.join("billing.db")).await?;
    let inbox = SqliteInbox::new(database.clone(), Namespace::plain());
    inbox.migrate().await?;
    let mut tx = database.begin().await?;
    sqlx::query(SCHEMA).execute(&mut *tx).await?;
    database.commit(tx).await?;

    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    });
    let group = Group::from_static("billing");
    let consumer = log.consumer(group.clone(), &[topic], StartAt::Earliest);
    let handlers = Handlers::new().on::<OrderPlaced, _, _>((), bill);
    println!(
        "reading {}; Ctrl-C ends it",
        directory.join("log.db").display()
    );
    Worker::new(group, Arc::new(database), Arc::new(inbox), handlers)
        .run(consumer, shutdown)
        .await?;
    Ok(())
}
