//! Places orders and emits an event about each in the same transaction. A relay publishes the events.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin outbox -- DIRECTORY
//! ```
//!
//! Kill it at any moment and run it again. Every order in `orders.db` has its event in `log.db`, and no
//! event is about an order that does not exist. The program `inbox` consumes the events.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{borrow::Cow, error::Error, path::PathBuf, time::Duration};

use mainstay_outbox::{
    Event, Outbox as _, Relay, SqliteOutbox,
    clock::{IdGenerator as _, SystemIds},
    database::sqlite::Database,
    messaging::sqlite::Broker,
    sqlx,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    id: String,
    cents: i64,
}

impl Event for OrderPlaced {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.id.as_str().into())
    }
}

const ORDERS: i64 = 20;
const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1);
    let directory = PathBuf::from(directory.ok_or("usage: outbox DIRECTORY")?);
    std::fs::create_dir_all(&directory)?;

    let broker = Broker::open(directory.join("log.db")).await?;
    broker.create_topic("orders", 4).await?;
    let db = Database::open(directory.join("orders.db")).await?;
    let outbox = SqliteOutbox::builder(&db).source("/orders").open().await?;
    let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();

    let mut tx = db.begin().await?;
    sqlx::query(SCHEMA).execute(&mut *tx).await?;
    db.commit(tx).await?;

    let ids = SystemIds::new();
    for number in 1..=ORDERS {
        let placed = OrderPlaced {
            id: ids.uuid().to_string(),
            cents: number * 100,
        };
        let mut tx = db.begin().await?;
        sqlx::query("INSERT INTO orders (id, cents) VALUES ($1, $2)")
            .bind(&placed.id)
            .bind(placed.cents)
            .execute(&mut *tx)
            .await?;
        outbox.emit(&mut tx, &placed).await?;
        if number % 5 == 0 {
            println!("order {} is rolled back, and with it its event", placed.id);
            drop(tx);
            continue;
        }
        db.commit(tx).await?;
    }

    // Including events that an earlier, killed run left behind.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(db.reader())
            .await?;
        if left == 0 {
            break;
        }
    }
    // Finishes the current round and records it.
    relay.shutdown().await?;
    println!("{} events are in the log", relay.status().published);
    Ok(())
}
