//! The service as it is simulated: its decisions are the service's own, its tables lie in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use commerce_contracts::{
    Contract, OrderCancelled, OrderId, OrderPlaced, ReleaseCause, Sku, StockReleased,
    StockReservationFailed, StockReserved,
};
use mainstay_database::memory::{Connection, Inserted, Record, Strength, Wait};
use mainstay_inbox::{HandlerError, Handlers, Received, Worker, memory::MemoryInbox};
use mainstay_messaging::{Group, Key, Kind, Message, Source, StartAt, Topic, event};
use mainstay_outbox::{
    Outbox as _, Relay,
    memory::{MemoryOutbox, Options},
};
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

/// How much of something there is.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    pub(super) sku: Sku,
    pub(super) level: Level,
}

/// What is held for an order.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    order_id: OrderId,
    pub(super) state: State,
    pub(super) lines: BTreeMap<Sku, i64>,
}

/// A message that was handled, and what was told about it: the journal of this service.
#[derive(Clone, Debug)]
pub(super) struct Handled {
    number: i64,
    pub(super) message: Message,
    pub(super) told: Option<Message>,
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
    let database = Arc::new(process.database());
    let outbox = Arc::new(open(&process).await?);
    let inbox = Arc::new(MemoryInbox::new(process.database()));
    let service = Service {
        outbox: Arc::clone(&outbox),
        process: process.clone(),
    };
    let handlers = Handlers::new()
        .on::<OrderPlaced, _, _>(service.clone(), placed)
        .on::<OrderCancelled, _, _>(service, cancelled);
    let worker = Worker::new(group(), database, inbox, handlers)
        .clock(process.clock())
        .ids(process.ids());
    let relay = Relay::new(outbox, Arc::new(process.publisher()))
        .clock(process.clock())
        .ids(process.ids());
    let consumer = process.consumer(
        &group(),
        &[Topic::from_static(OrderPlaced::TOPIC)],
        StartAt::Earliest,
    );
    let shutdown = process.shutdown();
    let (working, relaying) =
        tokio::join!(worker.run(consumer, shutdown.clone()), relay.run(shutdown),);
    working?;
    Ok(relaying?)
}

/// Opens the outbox, as soon as the database answers.
async fn open(process: &Process) -> Result<MemoryOutbox, Failure> {
    loop {
        match MemoryOutbox::open(process.database(), Options::default()).await {
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// What handlers work with.
#[derive(Clone)]
struct Service {
    outbox: Arc<MemoryOutbox>,
    process: Process,
}

/// Holds all of the order's stock, or nothing of it.
async fn placed(
    service: Service,
    connection: &mut Connection,
    Received { event, message, .. }: Received<OrderPlaced>,
) -> Result<(), HandlerError> {
    let order_id = event.order_id;
    if connection
        .statement()
        .await?
        .get::<Reservation>(&order_id)
        .is_some()
    {
        // Cancelled before it came: its tombstone stays.
        return service.note(connection, message, None).await;
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
    let (state, told) = match shelf.hold(&lines) {
        Ok(()) => {
            let told = StockReserved {
                reservation_id: format!("res-{order_id}"),
                order_id: order_id.clone(),
                lines: wire(&lines),
                expires_at: None,
            };
            (State::Held, service.message(&told)?)
        }
        Err(shortages) => {
            lines.clear();
            let order_id = order_id.clone();
            let told = StockReservationFailed {
                order_id,
                shortages,
            };
            (State::Refused, service.message(&told)?)
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
    service.note(connection, message, Some(told)).await
}

/// Lets go what is held for a cancelled order, and answers it.
async fn cancelled(
    service: Service,
    connection: &mut Connection,
    Received { event, message, .. }: Received<OrderCancelled>,
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
        Release::TooLate => return service.note(connection, message, None).await,
    };
    let lines = known
        .map(|reservation| reservation.lines)
        .unwrap_or_default();
    for (sku, held) in &lines {
        move_stock(connection, sku, -held).await?;
    }
    let told = service.message(&StockReleased {
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
    service.note(connection, message, Some(told)).await
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

impl Service {
    fn message<C: Contract>(&self, contract: &C) -> Result<Message, HandlerError> {
        let (clock, ids) = (self.process.clock(), self.process.ids());
        let (topic, kind) = (Topic::from_static(C::TOPIC), Kind::from_static(C::KIND));
        let source = Source::from_static("/inventory");
        let mut message = Message::new(source, topic, kind, Vec::new(), &*clock, &*ids);
        event::encode(contract, &mut message).map_err(HandlerError::permanent)?;
        let key = Key::new(contract.order_id().as_str()).map_err(HandlerError::permanent)?;
        Ok(message.with_key(key))
    }

    /// Enqueues what is told, and notes that the message was handled.
    async fn note(
        &self,
        connection: &mut Connection,
        message: Message,
        told: Option<Message>,
    ) -> Result<(), HandlerError> {
        if let Some(told) = &told {
            let enqueued = self.outbox.enqueue(connection, told).await;
            enqueued.map_err(HandlerError::retryable)?;
        }
        let mut statement = connection.statement().await?;
        let number = statement.next_value("handled");
        let _: Inserted = statement
            .insert(Handled {
                number,
                message,
                told,
            })
            .await?;
        Ok(())
    }
}
