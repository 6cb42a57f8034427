//! The shipping service's handlers: the commands of the saga, and what became of orders.

use std::sync::Arc;

use commerce_chassis::{Connection, Outbox, Participant, ServiceBuilder};
use commerce_contracts::{
    CancelShipment, DispatchShipment, OrderCancelled, OrderConfirmed, PrepareShipment,
    ShipmentStatus,
};
use mainstay_clock::Clock;
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_outbox::Outbox as _;

use crate::{
    shipment::{PATIENCE, Push, after, has_left, is_carried_by_hand, is_served, report},
    store::{self, Contents},
};

/// What the handlers need besides the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Shipping {
    kit: Participant,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
}

impl Shipping {
    pub(crate) fn new(builder: &ServiceBuilder, kit: Participant) -> Self {
        Self {
            kit,
            outbox: builder.outbox().clone(),
            clock: Arc::clone(builder.clock()),
        }
    }

    fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }
}

pub(crate) fn handlers(shipping: Shipping) -> Handlers<Connection, Shipping> {
    Handlers::new()
        .with_state(shipping)
        .on(prepare)
        .on(dispatch)
        .on(cancel)
        .on(confirmed)
        .on(order_cancelled)
}

/// Begins to pack the order's shipment. The carrier answers when it is packed.
async fn prepare(
    tx: &mut Connection,
    command: Received<PrepareShipment>,
    shipping: Shipping,
) -> Result<(), HandlerError> {
    // The carrier locks in this order too: a shipment, then its step.
    let found = store::lock(tx, &command.event.order_id).await?;
    let Some(task) = shipping.kit.begin(tx, &command).await? else {
        return Ok(()); // the order was cancelled before
    };
    let (command, now) = (command.event, shipping.now());
    let (order_id, to) = (&command.order_id, ShipmentStatus::Cancelled);
    let from = found.unwrap_or(ShipmentStatus::Created);
    if from != to && is_served(&command.ship_to) {
        let (lines, ship_to) = (&command.lines, &command.ship_to);
        let contents = Contents {
            order_id,
            lines,
            ship_to,
        };
        return Ok(store::prepare(tx, contents, &task, now).await?);
    }
    if found.is_some() && from != to {
        store::enter(tx, order_id, after(from, Push::Cancel)?, now).await?;
    }
    let refused = report(order_id, from, to, now);
    Ok(shipping.kit.refused(tx, &task, &refused).await?)
}

/// Hands the packed shipment to the carrier.
async fn dispatch(
    tx: &mut Connection,
    command: Received<DispatchShipment>,
    shipping: Shipping,
) -> Result<(), HandlerError> {
    let Some(task) = shipping.kit.begin(tx, &command).await? else {
        return Ok(());
    };
    let (order_id, now) = (command.event.order_id, shipping.now());
    let Some(from) = store::lock(tx, &order_id).await? else {
        return Err(HandlerError::permanent(format!(
            "order {order_id} has no shipment to dispatch"
        )));
    };
    let to = after(from, Push::Dispatch)?;
    store::enter(tx, &order_id, to, now).await?;
    if is_carried_by_hand(&store::ship_to(tx, &order_id).await?) {
        store::wait(tx, &order_id, PATIENCE, now).await?;
    }
    let dispatched = report(&order_id, from, to, now);
    Ok(shipping.kit.done(tx, &task, &dispatched).await?)
}

/// Cancels the order's shipment, if there is one. The saga cancels none that was dispatched.
async fn cancel(
    tx: &mut Connection,
    undo: Received<CancelShipment>,
    shipping: Shipping,
) -> Result<(), HandlerError> {
    let (order_id, now) = (&undo.event.order_id, shipping.now());
    let from = store::lock(tx, order_id).await?;
    let (_, task) = shipping.kit.undo::<PrepareShipment>(tx, &undo).await?;
    let to = ShipmentStatus::Cancelled;
    if let Some(from) = from.filter(|from| *from != to) {
        store::enter(tx, order_id, after(from, Push::Cancel)?, now).await?;
    }
    let from = from.unwrap_or(ShipmentStatus::Created);
    let cancelled = report(order_id, from, to, now);
    Ok(shipping.kit.undone(tx, &task, &cancelled).await?)
}

/// Notes whose shipment it is. The event and [`prepare`] come in either order, and the first
/// creates the shipment.
async fn confirmed(
    tx: &mut Connection,
    confirmed: Received<OrderConfirmed>,
    shipping: Shipping,
) -> Result<(), HandlerError> {
    let order = confirmed.event;
    let contents = Contents {
        order_id: &order.order_id,
        lines: &order.lines,
        ship_to: &order.ship_to,
    };
    Ok(store::own(tx, contents, &order.customer_id, shipping.now()).await?)
}

/// Cancels what is left of a cancelled order's shipment. Usually the saga has done so.
async fn order_cancelled(
    tx: &mut Connection,
    cancelled: Received<OrderCancelled>,
    shipping: Shipping,
) -> Result<(), HandlerError> {
    let (order_id, now) = (&cancelled.event.order_id, shipping.now());
    let to = ShipmentStatus::Cancelled;
    let Some(from) = store::lock(tx, order_id).await?.filter(|from| *from != to) else {
        return Ok(());
    };
    if has_left(from) {
        return Err(HandlerError::permanent(format!(
            "order {order_id} is cancelled, and its parcel is {}: recall it from the carrier",
            from.name()
        )));
    }
    store::enter(tx, order_id, after(from, Push::Cancel)?, now).await?;
    let cancelled = report(order_id, from, to, now);
    Ok(shipping.outbox.emit(tx, &cancelled).await?)
}
