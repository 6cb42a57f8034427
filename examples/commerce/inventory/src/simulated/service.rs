//! The simulated service: its decisions are the service's own, its tables are in memory.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use commerce_contracts::{
    OrderCancelled, OrderId, OrderPlaced, ReleaseCause, Sku, StockReleased, StockReservationFailed,
    StockReserved,
};
use mainstay_database::memory::{Connection, Database, Inserted, Record, Strength, Wait};
use mainstay_inbox::{HandlerError, MemoryInbox, Received, Worker};
use mainstay_messaging::{Event as _, Group, Message, StartAt, Topic};
use mainstay_outbox::{MemoryOutbox, Outbox as _, Relay};
use mainstay_simulation::Process;

use crate::{
    handlers::wire,
    reservation::{Release, State, release},
    shelf::{Level, Shelf, sum},
};

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn group() -> Group {
    Group::from_static("inventory")
}

/// The stock of one SKU.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) sku: Sku,
    pub(super) level: Level,
}

/// The stock held for an order.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    order_id: OrderId,
    pub(super) state: State,
    pub(super) lines: BTreeMap<Sku, i64>,
}

/// A handled message and the answer that was emitted: the journal of this service.
#[derive(Clone, Debug)]
pub(super) struct Handled {
    number: i64,
    pub(super) message: Message,
    pub(super) emitted: Option<Message>,
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

impl Record for Handled {
    const TABLE: &'static str = "handled";
    type Key = i64;
    fn key(&self) -> i64 {
        self.number
    }
}

/// One instance: a worker on the inbox and a relay on the outbox, as in production.
pub(super) async fn run(process: Process) -> Result<(), Failure> {
    // Share one handle: a commit through it notifies the relay of its outbox.
    let database = process.database();
    let outbox = open(&process, &database).await?;
    let topics = [Topic::from_static(OrderPlaced::TOPIC)];
    let consumer = process
        .consumer(&group(), &topics, StartAt::Earliest)
        .await?;
    let worker = Worker::new(MemoryInbox::new(database), consumer)
        .with_state(outbox.clone())
        .on(placed)
        .on(cancelled)
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

/// Holds all of the order's stock, or none.
async fn placed(
    connection: &mut Connection,
    Received { event, message, .. }: Received<OrderPlaced>,
    outbox: MemoryOutbox,
) -> Result<(), HandlerError> {
    let order_id = event.order_id;
    if connection
        .statement()
        .await?
        .get::<Reservation>(&order_id)
        .is_some()
    {
        // The order was cancelled first; its tombstone stays.
        return record(&outbox, connection, message, None).await;
    }
    let mut lines = sum(event.lines.iter().map(|line| (&line.sku, line.qty)));
    let mut levels = HashMap::new();
    for sku in lines.keys() {
        let mut statement = connection.statement().await?;
        let stock = statement
            .lock::<Stock>(sku, Strength::NoKeyUpdate, Wait::Block)
            .await?;
        levels.extend(stock.row().map(|stock| (stock.sku, stock.level)));
    }
    let mut shelf = Shelf::new(levels);
    let (state, emitted) = match shelf.hold(&lines) {
        Ok(()) => {
            let emitted = StockReserved {
                reservation_id: format!("res-{order_id}"),
                order_id: order_id.clone(),
                lines: wire(&lines),
                expires_at: None,
            };
            (State::Held, outbox.message(&emitted)?)
        }
        Err(shortages) => {
            lines.clear();
            let order_id = order_id.clone();
            let emitted = StockReservationFailed {
                order_id,
                shortages,
            };
            (State::Refused, outbox.message(&emitted)?)
        }
    };
    for (sku, held) in shelf.held() {
        move_stock(connection, sku, *held).await?;
    }
    let reservation = Reservation {
        order_id,
        state,
        lines,
    };
    write(connection, reservation).await?;
    record(&outbox, connection, message, Some(emitted)).await
}

/// Releases the stock of a cancelled order, and answers it.
async fn cancelled(
    connection: &mut Connection,
    Received { event, message, .. }: Received<OrderCancelled>,
    outbox: MemoryOutbox,
) -> Result<(), HandlerError> {
    let order_id = event.order_id;
    let mut statement = connection.statement().await?;
    let known = statement
        .lock::<Reservation>(&order_id, Strength::NoKeyUpdate, Wait::Block)
        .await?;
    drop(statement);
    let known = known.row();
    let cause = match release(known.as_ref().map(|reservation| reservation.state)) {
        Release::GiveBack => ReleaseCause::Compensation,
        Release::NothingHeld => ReleaseCause::Cancelled,
        Release::TooLate => return record(&outbox, connection, message, None).await,
    };
    let lines = known
        .map(|reservation| reservation.lines)
        .unwrap_or_default();
    for (sku, held) in &lines {
        move_stock(connection, sku, -held).await?;
    }
    let emitted = outbox.message(&StockReleased {
        reservation_id: format!("res-{order_id}"),
        order_id: order_id.clone(),
        cause,
        lines: wire(&lines),
    })?;
    let state = State::Released;
    write(
        connection,
        Reservation {
            order_id,
            state,
            lines,
        },
    )
    .await?;
    record(&outbox, connection, message, Some(emitted)).await
}

async fn move_stock(connection: &mut Connection, sku: &Sku, held: i64) -> Result<(), HandlerError> {
    let mut statement = connection.statement().await?;
    let moved = statement.update::<Stock>(sku, |stock| {
        stock.level.reserved += held;
        true
    });
    if moved.await? {
        Ok(())
    } else {
        Err(HandlerError::permanent(format!("no {sku}")))
    }
}

async fn write(connection: &mut Connection, reservation: Reservation) -> Result<(), HandlerError> {
    let newest = reservation.clone();
    let mut statement = connection.statement().await?;
    let _: Inserted = statement.upsert(reservation, |row| *row = newest).await?;
    Ok(())
}

/// Enqueues the answer, and records that the message was handled.
async fn record(
    outbox: &MemoryOutbox,
    connection: &mut Connection,
    message: Message,
    emitted: Option<Message>,
) -> Result<(), HandlerError> {
    if let Some(emitted) = &emitted {
        outbox.enqueue(connection, emitted).await?;
    }
    let mut statement = connection.statement().await?;
    let number = statement.next_value("handled");
    let _: Inserted = statement
        .insert(Handled {
            number,
            message,
            emitted,
        })
        .await?;
    Ok(())
}
