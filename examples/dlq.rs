//! A poison message, and how an operator finds, corrects and replays it.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin dlq
//! ```
//!
//! Publishes orders of two customers. One order has no amount: it becomes a dead letter, the later
//! orders of its customer are held behind it, and the other customer's go on. Then an operator corrects
//! it, and the held ones follow in order. It works in a temporary directory, so each run begins anew.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{borrow::Cow, error::Error, time::Duration};

use mainstay_dlq::{
    BlockedKey, DeadLetterQueue, Query, Signature,
    database::sqlite::Database,
    inbox::{HandlerError, Handlers, Received, SqliteInbox},
    messaging::{Event, Group, Message, Publisher as _, Topic, sqlite::Broker},
    sqlx::{self, SqliteConnection},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct OrderPlaced {
    id: String,
    customer: String,
    cents: i64,
}

impl Event for OrderPlaced {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "OrderPlaced";

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.customer.as_str().into())
    }
}

async fn bill(tx: &mut SqliteConnection, order: Received<OrderPlaced>) -> Result<(), HandlerError> {
    let OrderPlaced { id, cents, .. } = order.event;
    if cents <= 0 {
        return Err(HandlerError::permanent("an order costs something"));
    }
    sqlx::query("INSERT INTO invoices (order_id, cents) VALUES ($1, $2)")
        .bind(id)
        .bind(cents)
        .execute(tx)
        .await?;
    Ok(())
}

async fn billed(db: &Database) -> Result<Vec<String>, sqlx::Error> {
    let invoices = "SELECT order_id FROM invoices ORDER BY id";
    sqlx::query_scalar(invoices).fetch_all(db.reader()).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let db = Database::open(directory.path().join("billing.db")).await?;
    let mut tx = db.begin().await?;
    sqlx::query("CREATE TABLE invoices (id INTEGER PRIMARY KEY, order_id TEXT, cents INTEGER)")
        .execute(&mut *tx)
        .await?;
    db.commit(tx).await?;
    let broker = Broker::open(directory.path().join("log.db")).await?;
    broker.create_topic("orders", 1).await?;

    // The service.
    let inbox = SqliteInbox::builder(&db).open().await?;
    let queue = DeadLetterQueue::builder(inbox).open().await?;
    let handlers = Handlers::new().on(bill);
    let consumer = broker.consumer("billing").subscribe(["orders"]).await?;
    let worker = queue.worker(consumer).handlers(handlers.clone()).spawn();
    let replayer = queue.replayer("billing", handlers)?.spawn();

    for (id, customer, cents) in [
        ("ada-1", "ada", 500),
        ("ada-2", "ada", 0),
        ("bob-1", "bob", 700),
        ("ada-3", "ada", 300),
    ] {
        let (id, customer) = (id.to_owned(), customer.to_owned());
        let event = OrderPlaced {
            id,
            customer,
            cents,
        };
        let message = Message::builder().source("/orders").event(&event).build()?;
        for outcome in broker.publisher().publish(&[message]).await {
            println!("published {}: {outcome:?}", event.id);
        }
    }

    // The operator.
    let desk = queue.desk().check::<OrderPlaced>();
    while desk.count(&Query::all()).await? < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("billed: {:?}", billed(&db).await?);
    for group in desk.groups(None, 10).await? {
        println!("{} × {:?}", group.count, group.example.error);
        let shown = desk.show(group.example.id).await?;
        println!("held behind it: {}", shown.held);
        let Some(mut corrected) = shown.content.message().cloned() else {
            continue;
        };
        corrected.payload = Some(r#"{"id":"ada-2","customer":"ada","cents":200}"#.into());
        let by = Signature::new("ada", "the amount was lost, the customer says 2.00");
        desk.edit(shown.letter.id, shown.letter.revision, corrected, &by)
            .await?;
        let key = BlockedKey {
            consumer: Group::from_static("billing"),
            topic: Topic::from_static("orders"),
            key: "ada".to_owned(),
        };
        desk.replay_key(&key, &by).await?;
    }
    while billed(&db).await?.len() < 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("billed: {:?}", billed(&db).await?);
    for entry in desk.audit(None, None, 10).await?.items {
        println!("{}: {} ({})", entry.operator, entry.act, entry.reason);
    }
    worker.shutdown().await?;
    replayer.shutdown().await?;
    Ok(())
}
