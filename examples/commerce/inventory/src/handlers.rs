//! The inventory service's handlers of commands, and of what other services tell: parcels that leave
//! or come back, orders that are cancelled, products.

use std::{sync::Arc, time::Duration};

use commerce_chassis::{Connection, Outbox, Participant, Result, ServiceBuilder};
use commerce_contracts::{
    ExtendReservation, OrderCancelled, OrderId, ProductChanged, ReleaseCause, ReleaseStock,
    ReserveStock, ReservedLine, ShipmentStatus, ShipmentStatusChanged, Shortage, StockReleased,
    StockReservationFailed, StockReserved,
};
use mainstay_clock::Clock;
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_outbox::Outbox as _;
use mainstay_saga::Answer;

use crate::{
    WAREHOUSE,
    level::Level,
    reservation::{Extension, Lines, State, extend, sum},
    store,
};

/// What the handlers need besides the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Inventory {
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    /// How long stock is held for an order that is not confirmed.
    hold: Duration,
}

impl Inventory {
    pub(crate) fn new(builder: &ServiceBuilder, hold: Duration) -> Self {
        Self {
            outbox: builder.outbox().clone(),
            clock: Arc::clone(builder.clock()),
            hold,
        }
    }

    pub(crate) const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(crate) fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }
}

pub(crate) fn handlers(
    participant: &Participant,
    inventory: Inventory,
) -> Handlers<Connection, Inventory> {
    let commands = (participant.handlers().with_state(inventory.clone()))
        .on_undoable(reserve, release)
        .on(extend_hold);
    Handlers::new()
        .with_state(inventory)
        .on(parcel_moved)
        .on(cancelled)
        .on(product_changed)
        .merge(commands.build())
}

/// Tells which of `levels` customers see.
pub(crate) async fn tell(
    tx: &mut Connection,
    outbox: &Outbox,
    levels: &[Level],
    cause: &str,
) -> Result<()> {
    for level in levels.iter().filter(|level| level.is_seen()) {
        outbox.emit(tx, &level.event(cause)).await?;
    }
    Ok(())
}

/// Holds all of the order's stock, or none.
pub(crate) async fn reserve(
    tx: &mut Connection,
    command: Received<ReserveStock>,
    inventory: Inventory,
) -> Result<Answer<ReserveStock>, HandlerError> {
    let order_id = command.event.order_id;
    let lines = sum(&command.event.lines);
    store::lock(tx).await?;
    let levels = match store::take(tx, &lines).await? {
        Ok(levels) => levels,
        Err(shortages) => {
            store::insert(tx, &order_id, State::Refused, None, &Lines::new()).await?;
            return Ok(Answer::Refused(failed(order_id, shortages)));
        }
    };
    tell(tx, &inventory.outbox, &levels, "reserved").await?;
    let hold = i64::try_from(inventory.hold.as_micros()).unwrap_or(i64::MAX);
    let expires_at = Some(inventory.now().saturating_add(hold));
    store::insert(tx, &order_id, State::Held, expires_at, &lines).await?;
    Ok(Answer::Done(reserved(order_id, &lines, expires_at)))
}

/// Keeps the order's stock until it is shipped or released.
pub(crate) async fn extend_hold(
    tx: &mut Connection,
    command: Received<ExtendReservation>,
    inventory: Inventory,
) -> Result<Answer<ExtendReservation>, HandlerError> {
    let order_id = command.event.order_id;
    store::lock(tx).await?;
    let (state, lines) = store::find(tx, &order_id).await?.unzip();
    let lines = lines.unwrap_or_default();
    let taken = match extend(state) {
        Extension::Keep => Ok(Vec::new()),
        Extension::TakeAnew => store::take(tx, &lines).await?,
        Extension::Refuse => Err(Vec::new()),
    };
    let levels = match taken {
        Ok(levels) => levels,
        Err(shortages) => return Ok(Answer::Refused(failed(order_id, shortages))),
    };
    tell(tx, &inventory.outbox, &levels, "reserved").await?;
    store::save(tx, &order_id, State::Firm).await?;
    Ok(Answer::Done(reserved(order_id, &lines, None)))
}

/// Releases what the order holds, if it holds anything. It undoes [`reserve`] and [`extend_hold`].
pub(crate) async fn release(
    tx: &mut Connection,
    undo: Received<ReleaseStock>,
    inventory: Inventory,
) -> Result<StockReleased, HandlerError> {
    let order_id = undo.event.order_id;
    store::lock(tx).await?;
    Ok(match give_up(tx, &order_id, &inventory.outbox).await? {
        Some(lines) => released(order_id, ReleaseCause::Compensation, &lines),
        None => released(order_id, ReleaseCause::Cancelled, &Lines::new()),
    })
}

/// Releases what a cancelled order still holds. The saga has released it before: this is the net
/// below it, and finds nothing.
pub(crate) async fn cancelled(
    tx: &mut Connection,
    received: Received<OrderCancelled>,
    inventory: Inventory,
) -> Result<(), HandlerError> {
    let order_id = received.event.order_id;
    store::lock(tx).await?;
    if let Some(lines) = give_up(tx, &order_id, &inventory.outbox).await? {
        let released = released(order_id, ReleaseCause::Compensation, &lines);
        inventory.outbox.emit(tx, &released).await?;
    }
    Ok(())
}

/// Makes the stock that the order holds available again; none: it holds nothing.
async fn give_up(
    tx: &mut Connection,
    order_id: &OrderId,
    outbox: &Outbox,
) -> Result<Option<Lines>> {
    let lines = match store::find(tx, order_id).await? {
        Some((state, lines)) if state.holds_stock() => lines,
        _ => return Ok(None),
    };
    let levels = store::give_back(tx, &lines).await?;
    tell(tx, outbox, &levels, "released").await?;
    store::save(tx, order_id, State::Released).await?;
    Ok(Some(lines))
}

/// Stock follows the catalog: a new product has a stock item, a retired one is not reserved any more.
pub(crate) async fn product_changed(
    tx: &mut Connection,
    received: Received<ProductChanged>,
    _: Inventory,
) -> Result<(), HandlerError> {
    store::lock(tx).await?;
    Ok(store::follow(tx, &received.event).await?)
}

/// Takes the stock of a dispatched order out of the warehouse, and puts that of a parcel that came
/// back on its shelf.
pub(crate) async fn parcel_moved(
    tx: &mut Connection,
    changed: Received<ShipmentStatusChanged>,
    inventory: Inventory,
) -> Result<(), HandlerError> {
    let ShipmentStatusChanged { order_id, to, .. } = changed.event;
    match to {
        ShipmentStatus::Dispatched => left(tx, &order_id, &inventory).await,
        ShipmentStatus::Returned => came_back(tx, &order_id, &inventory).await,
        _ => Ok(()),
    }
}

async fn left(
    tx: &mut Connection,
    order_id: &OrderId,
    inventory: &Inventory,
) -> Result<(), HandlerError> {
    store::lock(tx).await?;
    match store::find(tx, order_id).await? {
        Some((state, lines)) if state.holds_stock() => {
            store::move_out(tx, order_id, &lines, inventory.now()).await?;
            Ok(store::save(tx, order_id, State::Committed).await?)
        }
        Some((State::Committed, _)) => Ok(()),
        // Goods left that nobody held: an operator must count the shelf.
        found => {
            let state = found.map_or("missing", |(state, _)| state.name());
            Err(HandlerError::permanent(format!(
                "the goods of order {order_id} left, but its reservation is {state}"
            )))
        }
    }
}

async fn came_back(
    tx: &mut Connection,
    order_id: &OrderId,
    inventory: &Inventory,
) -> Result<(), HandlerError> {
    store::lock(tx).await?;
    match store::find(tx, order_id).await? {
        Some((State::Committed, lines)) => {
            let levels = store::move_in(tx, order_id, &lines, inventory.now()).await?;
            Ok(tell(tx, &inventory.outbox, &levels, "returned").await?)
        }
        // Goods came back that never left: an operator must count the shelf.
        found => {
            let state = found.map_or("missing", |(state, _)| state.name());
            Err(HandlerError::permanent(format!(
                "the goods of order {order_id} came back, but its reservation is {state}"
            )))
        }
    }
}

fn reservation_id(order_id: &OrderId) -> String {
    format!("res-{order_id}")
}

pub(crate) fn reserved(order_id: OrderId, lines: &Lines, expires_at: Option<i64>) -> StockReserved {
    StockReserved {
        reservation_id: reservation_id(&order_id),
        order_id,
        lines: wire(lines),
        expires_at,
    }
}

pub(crate) const fn failed(order_id: OrderId, shortages: Vec<Shortage>) -> StockReservationFailed {
    StockReservationFailed {
        order_id,
        shortages,
    }
}

pub(crate) fn released(order_id: OrderId, cause: ReleaseCause, lines: &Lines) -> StockReleased {
    StockReleased {
        reservation_id: reservation_id(&order_id),
        order_id,
        cause,
        lines: wire(lines),
    }
}

fn wire(lines: &Lines) -> Vec<ReservedLine> {
    let line = |(sku, qty): (&_, &i64)| ReservedLine {
        sku: Clone::clone(sku),
        warehouse: WAREHOUSE.to_owned(),
        qty: *qty,
    };
    lines.iter().map(line).collect()
}
