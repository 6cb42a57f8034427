//! The simulated service.

use std::time::Duration;

use commerce_contracts::{
    OrderId, ReleaseCause, ReleaseStock, ReserveStock, Shortage, Sku, StockReleased,
};
use mainstay_database::memory::{Connection, Database, Inserted, Record, Strength, Wait};
use mainstay_inbox::{HandlerError, MemoryInbox, Received, Worker};
use mainstay_messaging::{Event as _, Group, StartAt, Topic};
use mainstay_outbox::{MemoryOutbox, Relay};
use mainstay_saga::{Answer, MemorySagas, Participant};
use mainstay_simulation::Process;

use crate::{
    handlers::{failed, released, reserved},
    reservation::{Lines, State, sum},
};

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The stock of one SKU.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) sku: Sku,
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
}

/// The stock held for an order.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    order_id: OrderId,
    pub(super) state: State,
    pub(super) lines: Lines,
}

impl Record for Stock {
    const TABLE: &'static str = "stock";
    type Key = Sku;
    fn key(&self) -> Sku {
        self.sku.clone()
    }
}

impl Record for Reservation {
    const TABLE: &'static str = "reservations";
    type Key = OrderId;
    fn key(&self) -> OrderId {
        self.order_id.clone()
    }
}

/// One instance: a worker on the inbox and a relay on the outbox, as in production.
pub(super) async fn run(process: Process) -> Result<(), Failure> {
    // Share one handle: a commit through it notifies the relay of its outbox.
    let database = process.database();
    let outbox = open(&process, &database).await?;
    let topics = [Topic::from_static(ReserveStock::TOPIC)];
    let consumer = process
        .consumer(&Group::from_static("inventory"), &topics, StartAt::Earliest)
        .await?;
    let handlers = Participant::new(MemorySagas::new(database.clone()), outbox.clone()).handlers();
    let worker = Worker::new(MemoryInbox::new(database), consumer)
        .handlers(handlers.on_undoable(reserve, release).build())
        .clock(process.clock())
        .ids(process.ids());
    let relay = Relay::new(outbox, process.publisher())
        .clock(process.clock())
        .ids(process.ids());
    let (working, relaying) = tokio::join!(
        worker.run_until(process.shutdown().cancelled_owned()),
        relay.run_until(process.shutdown().cancelled_owned()),
    );
    working?;
    Ok(relaying?)
}

/// Opens the outbox, once the database answers.
async fn open(process: &Process, database: &Database) -> Result<MemoryOutbox, Failure> {
    loop {
        let opening = MemoryOutbox::builder(database)
            .source("/inventory")
            .clock(process.clock())
            .ids(process.ids());
        match opening.open().await {
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

async fn reserve(
    tx: &mut Connection,
    command: Received<ReserveStock>,
) -> Result<Answer<ReserveStock>, HandlerError> {
    let order_id = command.event.order_id;
    let lines = sum(&command.event.lines);
    let mut shortages = Vec::new();
    for (sku, quantity) in &lines {
        let mut statement = tx.statement().await?;
        let locked = statement
            .lock::<Stock>(sku, Strength::NoKeyUpdate, Wait::Block)
            .await?;
        let available = locked
            .row()
            .map_or(0, |stock| stock.on_hand - stock.reserved);
        if available < *quantity {
            shortages.push(Shortage {
                sku: sku.clone(),
                requested: *quantity,
                available,
            });
        }
    }
    if !shortages.is_empty() {
        write(tx, &order_id, State::Refused, Lines::new()).await?;
        return Ok(Answer::Refused(failed(order_id, shortages)));
    }
    for (sku, quantity) in &lines {
        change(tx, sku, *quantity).await?;
    }
    write(tx, &order_id, State::Held, lines.clone()).await?;
    Ok(Answer::Done(reserved(order_id, &lines, None)))
}

async fn release(
    tx: &mut Connection,
    undo: Received<ReleaseStock>,
) -> Result<StockReleased, HandlerError> {
    let order_id = undo.event.order_id;
    let known = tx.statement().await?.get::<Reservation>(&order_id);
    let held = known.filter(|reservation| reservation.state.holds_stock());
    let lines = held.map(|reservation| reservation.lines);
    let lines = lines.unwrap_or_default();
    for (sku, quantity) in &lines {
        change(tx, sku, -quantity).await?;
    }
    write(tx, &order_id, State::Released, lines.clone()).await?;
    Ok(released(order_id, ReleaseCause::Compensation, &lines))
}

async fn change(tx: &mut Connection, sku: &Sku, reserved: i64) -> Result<(), HandlerError> {
    let mut statement = tx.statement().await?;
    let changing = statement.update::<Stock>(sku, |stock| {
        stock.reserved += reserved;
        true
    });
    if changing.await? {
        Ok(())
    } else {
        Err(HandlerError::permanent(format!("no {sku}")))
    }
}

async fn write(
    tx: &mut Connection,
    order_id: &OrderId,
    state: State,
    lines: Lines,
) -> Result<(), HandlerError> {
    let reservation = Reservation {
        order_id: order_id.clone(),
        state,
        lines,
    };
    let newest = reservation.clone();
    let mut statement = tx.statement().await?;
    let _: Inserted = statement.upsert(reservation, |row| *row = newest).await?;
    Ok(())
}
