//! The shipping service's handlers of commands.

use std::{slice, sync::Arc};

use commerce_chassis::{Connection, Participant, ServiceBuilder};
use commerce_contracts::{CancelShipment, DispatchShipment, PrepareShipment, ShipmentStatus};
use mainstay_clock::Clock;
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::envelope::micros_since_epoch;

use crate::{
    shipment::{Push, after, is_served, report},
    store,
};

/// What the handlers need besides the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Shipping {
    kit: Participant,
    clock: Arc<dyn Clock>,
}

impl Shipping {
    pub(crate) fn new(builder: &ServiceBuilder, kit: Participant) -> Self {
        let clock = Arc::clone(builder.clock());
        Self { kit, clock }
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
}

/// Creates the order's shipment. The carrier answers when it is packed.
async fn prepare(
    tx: &mut Connection,
    command: Received<PrepareShipment>,
    shipping: Shipping,
) -> Result<(), HandlerError> {
    let Some(task) = shipping.kit.begin(tx, &command).await? else {
        return Ok(()); // the order was cancelled before
    };
    let (command, now) = (command.event, shipping.now());
    if is_served(&command.ship_to) {
        return Ok(store::insert(tx, &command, &task, now).await?);
    }
    let (from, to) = (ShipmentStatus::Created, ShipmentStatus::Cancelled);
    let undeliverable = report(&command.order_id, from, to, now);
    Ok(shipping.kit.refused(tx, &task, &undeliverable).await?)
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
    store::enter(tx, slice::from_ref(&order_id), to, now).await?;
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
    // The carrier locks in this order too: a shipment, then its step.
    let from = store::lock(tx, order_id).await?;
    let (_, task) = shipping.kit.undo::<PrepareShipment>(tx, &undo).await?;
    let to = ShipmentStatus::Cancelled;
    if let Some(from) = from.filter(|from| *from != to) {
        let to = after(from, Push::Cancel)?;
        store::enter(tx, slice::from_ref(order_id), to, now).await?;
    }
    let from = from.unwrap_or(ShipmentStatus::Created);
    let cancelled = report(order_id, from, to, now);
    Ok(shipping.kit.undone(tx, &task, &cancelled).await?)
}
