//! Writes orders, and in the same transaction the events about them; a relay moves the events to a log.
//!
//! ```console
//! $ cargo run -p mainstay-outbox --features sqlite --example place_orders -- DIRECTORY
//! ```
//!
//! Kill it at any moment and run it again: every order in `orders.db` gets its event, and no event is about an order that
//! is not there. The example `bill_orders` of mainstay-inbox reads the log.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::PathBuf, sync::Arc, time::Duration};

use mainstay_clock::{IdGenerator as _, SystemClock, SystemIds};
use mainstay_database::{Transactions as _, sqlite::Database};
use mainstay_messaging::{
    Key, Kind, Message, Source, Topic,
    sqlite::{Broker, Options as LogOptions},
};
use mainstay_outbox::{
    Outbox as _, Relay,
    sqlite::{Options, SqliteOutbox, sqlx},
};
use tokio_util::sync::CancellationToken;

const ORDERS: u32 = 20;
const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("usage: place_orders DIRECTORY")?,
    );
    std::fs::create_dir_all(&directory)?;
    let topic = Topic::from_static("orders");
    let log = Broker::open(
        Database::open(directory.join("log.db")).await?,
        LogOptions::default(),
    )
    .await?;
    log.create_topic(&topic, 4).await?;

    let database = Database::open(directory.join("orders.db")).await?;
    let outbox = Arc::new(SqliteOutbox::open(database.clone(), Options::default()).await?);
    let mut tx = database.begin().await?;
    sqlx::query(SCHEMA).execute(&mut *tx).await?;
    database.commit(tx).await?;

    let relay = Arc::new(Relay::new(Arc::clone(&outbox), Arc::new(log.publisher())));
    let shutdown = CancellationToken::new();
    let (running, stop) = (Arc::clone(&relay), shutdown.clone());
    let running = tokio::spawn(async move { running.run(stop).await });

    let (clock, ids) = (SystemClock::new(), SystemIds::new());
    for number in 1..=ORDERS {
        let (order, cents) = (ids.uuid().to_string(), i64::from(number) * 100);
        let payload = format!(r#"{{"order":"{order}","cents":{cents}}}"#);
        let (source, kind) = (
            Source::from_static("/orders"),
            Kind::from_static("OrderPlaced"),
        );
        let mut message = Message::new(source, topic.clone(), kind, payload, &clock, &ids);
        message.key = Some(Key::new(order.as_str())?);

        let mut tx = database.begin().await?;
        sqlx::query("INSERT INTO orders (id, cents) VALUES ($1, $2)")
            .bind(&order)
            .bind(cents)
            .execute(&mut *tx)
            .await?;
        outbox.enqueue(&mut tx, &message).await?;
        if number % 5 == 0 {
            println!("order {order} is rolled back, and its event with it");
            drop(tx);
            continue;
        }
        database.commit(tx).await?;
        outbox.ring();
    }
    // Also what an earlier run that was killed has left.
    let mut look = tokio::time::interval(Duration::from_millis(20));
    loop {
        look.tick().await;
        let mut tx = database.begin().await?;
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(&mut *tx)
            .await?;
        if waiting == 0 {
            break;
        }
    }
    println!("{} events are in the log", relay.status().published);
    shutdown.cancel();
    running.await??;
    Ok(())
}
