//! An order over three services: one goes through, one is declined and undone, and one needs an
//! operator.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin saga -- DIRECTORY
//! ```
//!
//! The services run in one process and share the file `shop.db`. Each answers in the transaction of
//! its effect. Kill it at any moment and run it again: every order ends, and has one run.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::PathBuf, time::Duration};

use mainstay_saga::{
    Answer, Command, Compensable, Definition, Never, Orchestrator, Outcome, Participant, Query,
    Saga, Signature, SqliteSagas, Status,
    database::sqlite::Database,
    inbox::{HandlerError, Received, SqliteInbox, Worker},
    messages,
    messaging::sqlite::Broker,
    outbox::{Relay, SqliteOutbox},
    sqlx::{self, SqliteConnection},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    cents: i64,
}

messages! {
    "stock-commands" { ReserveStock { order: String }, ReleaseStock { order: String } }
    "stock" { StockReserved { hold: String }, OutOfStock {}, StockReleased {} }
    "payment-commands" { Pay { order: String, cents: i64 } }
    "payments" { Paid { receipt: String }, Declined { code: String } }
    "shipping-commands" { Ship { order: String, hold: String, receipt: String } }
    "shipping" { Shipped {} }
}

impl Command for ReserveStock {
    type Done = StockReserved;
    type Refused = OutOfStock;
}

impl Compensable for ReserveStock {
    type Undo = ReleaseStock;
    type Undone = StockReleased;

    fn undo(&self, _: Outcome<'_, StockReserved>) -> ReleaseStock {
        let order = self.order.clone();
        ReleaseStock { order }
    }
}

impl Command for Pay {
    type Done = Paid;
    type Refused = Declined;
}

impl Command for Ship {
    type Done = Shipped;
    type Refused = Never;
    const TIMEOUT: Duration = Duration::from_secs(1);
}

fn place_order() -> Definition<Order> {
    let mut saga = Saga::new("place-order", 1);
    let stock = saga.step((), |order: &Order, ()| ReserveStock {
        order: order.id.clone(),
    });
    let (mut saga, paid) = saga.pivot((), |order, ()| Pay {
        order: order.id.clone(),
        cents: order.cents,
    });
    saga.then((stock, paid), |order, (stock, paid)| Ship {
        order: order.id.clone(),
        hold: stock.hold,
        receipt: paid.receipt,
    });
    saga.build()
}

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT";

/// Here a service takes the stock, through the transaction.
async fn reserve(
    _: &mut SqliteConnection,
    command: Received<ReserveStock>,
) -> Result<Answer<ReserveStock>, HandlerError> {
    let hold = format!("hold of {}", command.event.order);
    Ok(Answer::Done(StockReserved { hold }))
}

/// Here a service gives back what the order holds, if it holds anything.
async fn release(
    _: &mut SqliteConnection,
    _: Received<ReleaseStock>,
) -> Result<StockReleased, HandlerError> {
    Ok(StockReleased {})
}

async fn pay(
    _: &mut SqliteConnection,
    command: Received<Pay>,
) -> Result<Answer<Pay>, HandlerError> {
    if command.event.cents > 10_000 {
        let code = "over the limit".to_owned();
        return Ok(Answer::Refused(Declined { code }));
    }
    let receipt = format!("receipt of {}", command.event.order);
    Ok(Answer::Done(Paid { receipt }))
}

async fn ship(
    _: &mut SqliteConnection,
    command: Received<Ship>,
) -> Result<Answer<Ship>, HandlerError> {
    if command.event.order == "lost" {
        return Ok(Answer::Neither); // a bug: no answer ever comes
    }
    Ok(Answer::Done(Shipped {}))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", place_order().mermaid());
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: saga DIRECTORY")?);
    std::fs::create_dir_all(&directory)?;
    let broker = Broker::open(directory.join("log.db")).await?;
    let commands = ["stock-commands", "payment-commands", "shipping-commands"];
    let replies = ["stock", "payments", "shipping"];
    for topic in commands.iter().chain(&replies) {
        broker.create_topic(*topic, 4).await?;
    }
    let db = Database::open(directory.join("shop.db")).await?;
    let mut tx = db.begin().await?;
    sqlx::query(SCHEMA).execute(&mut *tx).await?;
    db.commit(tx).await?;
    let outbox = SqliteOutbox::builder(&db).source("/orders").open().await?;
    let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();

    // The participants.
    let sagas = SqliteSagas::builder(&db).open().await?;
    let inbox = SqliteInbox::builder(&db).open().await?;
    let participant = Participant::new(sagas.clone(), outbox.clone());
    let handlers = participant.handlers();
    let handlers = handlers.on_undoable(reserve, release).on(pay).on(ship);
    let commands = broker.consumer("services").subscribe(commands).await?;
    let services = Worker::new(inbox, commands).handlers(handlers.build());
    let services = services.spawn();

    // The service that owns the saga.
    let place_order = Orchestrator::builder(place_order(), sagas, outbox).build()?;
    let replies = broker.consumer("place-order").subscribe(replies).await?;
    let worker = place_order.worker(replies).spawn();
    let timers = place_order.timers().spawn();

    for (id, cents) in [("small", 900), ("large", 90_000), ("lost", 500)] {
        let id = id.to_owned();
        let order = Order { id, cents };
        let mut tx = db.begin().await?;
        // The order's own row: once its run has ended, the saga would start another one.
        let placed =
            sqlx::query("INSERT INTO orders (id, cents) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(&order.id)
                .bind(order.cents)
                .execute(&mut *tx)
                .await?;
        if placed.rows_affected() == 0 {
            println!("order {} was placed before", order.id);
            continue;
        }
        let started = place_order.start(&mut tx, &order.id, &order).await?;
        db.commit(tx).await?;
        println!("order {}: run {}", order.id, started.run());
    }

    // The operator.
    let desk = place_order.desk();
    let is_live = async || {
        let (running, undoing) = (Status::Running, Status::Undoing);
        let running = desk.count(&Query::all().status(running)).await?;
        Ok::<_, mainstay_saga::Error>(
            running + desk.count(&Query::all().status(undoing)).await? > 0,
        )
    };
    while is_live().await? {
        for run in desk.overdue(10).await?.items {
            println!("\noverdue:\n{}", desk.timeline(&run.run).await?);
            let by = Signature::new("ada", "the parcel left, its scan was lost");
            desk.skip(&run.run, "Ship", "{}", &by).await?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for run in desk.list(&Query::all(), None, 10).await?.items {
        println!("\n{}", desk.timeline(&run.run).await?);
    }
    worker.shutdown().await?;
    timers.shutdown().await;
    services.shutdown().await?;
    relay.shutdown().await?;
    Ok(())
}
