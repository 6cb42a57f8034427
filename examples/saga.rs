//! An order over three services: one goes through, one is declined and undone, and one needs an
//! operator.
//!
//! ```console
//! $ cargo run -p mainstay-examples --bin saga
//! ```
//!
//! The services run in one process, on the in-memory database and broker. Each answers in the
//! transaction of its effect.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, time::Duration};

use mainstay_saga::{
    Command, Compensable, Definition, MemorySagas, Never, Orchestrator, Outcome, Participant,
    Query, Saga, Signature, Status,
    database::memory::{Connection, Database},
    inbox::{HandlerError, MemoryInbox, Received, Worker},
    messages,
    messaging::memory::Broker,
    outbox::{Relay, memory::MemoryOutbox},
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

type Kit = Participant<MemorySagas, MemoryOutbox>;

async fn reserve(
    tx: &mut Connection,
    command: Received<ReserveStock>,
    kit: Kit,
) -> Result<(), HandlerError> {
    let Some(task) = kit.begin(tx, &command).await? else {
        return Ok(()); // it was undone before: nothing may happen any more
    };
    // Here a service takes the stock, through `tx`.
    let hold = format!("hold of {}", command.event.order);
    Ok(kit.done(tx, &task, &StockReserved { hold }).await?)
}

async fn release(
    tx: &mut Connection,
    undo: Received<ReleaseStock>,
    kit: Kit,
) -> Result<(), HandlerError> {
    let (_, task) = kit.undo::<ReserveStock>(tx, &undo).await?;
    // Here a service gives back what the order holds, if it holds anything.
    Ok(kit.undone(tx, &task, &StockReleased {}).await?)
}

async fn pay(tx: &mut Connection, command: Received<Pay>, kit: Kit) -> Result<(), HandlerError> {
    let Some(task) = kit.begin(tx, &command).await? else {
        return Ok(());
    };
    if command.event.cents > 10_000 {
        let code = "over the limit".to_owned();
        return Ok(kit.refused(tx, &task, &Declined { code }).await?);
    }
    let receipt = format!("receipt of {}", command.event.order);
    Ok(kit.done(tx, &task, &Paid { receipt }).await?)
}

async fn ship(tx: &mut Connection, command: Received<Ship>, kit: Kit) -> Result<(), HandlerError> {
    let Some(task) = kit.begin(tx, &command).await? else {
        return Ok(());
    };
    if command.event.order == "lost" {
        return Ok(()); // a bug: no answer ever comes
    }
    Ok(kit.done(tx, &task, &Shipped {}).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", place_order().mermaid());
    let broker = Broker::new();
    let commands = ["stock-commands", "payment-commands", "shipping-commands"];
    let replies = ["stock", "payments", "shipping"];
    for topic in commands.iter().chain(&replies) {
        broker.create_topic(*topic, 4).await?;
    }
    let db = Database::new();
    let outbox = MemoryOutbox::builder(&db).source("/shop").open().await?;
    let relay = Relay::new(outbox.clone(), broker.publisher()).spawn();

    // The participants.
    let sagas = MemorySagas::new(&db);
    let kit = Participant::new(sagas.clone(), outbox.clone());
    let commands = broker.consumer("services").subscribe(commands).await?;
    let services = Worker::new(MemoryInbox::new(&db), commands).with_state(kit);
    let services = services.on(reserve).on(release).on(pay).on(ship).spawn();

    // The service that owns the saga.
    let place_order = Orchestrator::builder(place_order(), sagas, outbox).build()?;
    let replies = broker.consumer("place-order").subscribe(replies).await?;
    let worker = place_order.worker(replies).spawn();
    let timers = place_order.timers().spawn();

    for (id, cents) in [("small", 900), ("large", 90_000), ("lost", 500)] {
        let id = id.to_owned();
        let order = Order { id, cents };
        let mut tx = db.begin().await?;
        let started = place_order.start(&mut tx, &order.id, &order).await?;
        db.commit(tx).await?;
        println!("order {}: run {}", order.id, started.run());
    }

    // The operator.
    let desk = place_order.desk();
    while desk.count(&Query::overdue()).await? == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for run in desk.overdue(10).await?.items {
        println!("\noverdue:\n{}", desk.timeline(&run.run).await?);
        let by = Signature::new("ada", "the parcel left, its scan was lost");
        desk.skip(&run.run, "Ship", "{}", &by).await?;
    }
    for status in [Status::Completed, Status::Undone] {
        for run in desk
            .list(&Query::all().status(status), None, 10)
            .await?
            .items
        {
            println!("\n{}", desk.timeline(&run.run).await?);
        }
    }
    worker.shutdown().await?;
    timers.shutdown().await;
    services.shutdown().await?;
    relay.shutdown().await?;
    Ok(())
}
