//! What the shipping service hears and is told.

use std::collections::BTreeSet;

use commerce_chassis::{Connection, Effect, Journal, rows};
use commerce_contracts::{
    DispatchShipment, OrderCancelled, OrderConfirmed, OrderId, ShipmentStatus,
};
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::Message;

use crate::{
    moves::{Move, carry_out, due_at},
    shipment::{Push, after},
    store::{self, Parcel, Shipment},
};

pub(crate) fn handlers(journal: &Journal) -> Handlers<Connection, Journal> {
    Handlers::new()
        .with_state(journal.clone())
        .on_batch(confirmed)
        .on_batch(dispatch)
        .on_batch(cancelled)
}

/// Creates the shipment of each order.
async fn confirmed(
    connection: &mut Connection,
    received: Vec<Received<OrderConfirmed>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let now = journal.now();
    let mut shipments = Vec::with_capacity(received.len());
    let mut effects = Vec::with_capacity(received.len());
    for Received { event, message, .. } in &received {
        let shipment = Shipment {
            order_id: event.order_id.clone(),
            status: ShipmentStatus::Created,
            told: 0,
            due_at: due_at(ShipmentStatus::Created, now),
        };
        let parcel = Parcel {
            ship_to: rows(&event.ship_to)?,
            contents: rows(&event.lines)?,
        };
        shipments.push((shipment, parcel));
        effects.push(Effect::of(message, event.order_id.as_str(), "done"));
    }
    store::insert(connection, &shipments, now).await?;
    let entered: Vec<_> = shipments
        .iter()
        .map(|(shipment, _)| (&shipment.order_id, shipment.status))
        .collect();
    store::track(connection, &entered, now).await?;
    Ok(journal.note(connection, &effects).await?)
}

async fn dispatch(
    connection: &mut Connection,
    received: Vec<Received<DispatchShipment>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let told = received
        .iter()
        .map(|r| (&r.event.order_id, r.event.effect_key.as_str(), &r.message));
    push(&journal, connection, Push::Dispatch, told.collect()).await
}

async fn cancelled(
    connection: &mut Connection,
    received: Vec<Received<OrderCancelled>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let told = received
        .iter()
        .map(|r| (&r.event.order_id, r.event.order_id.as_str(), &r.message));
    push(&journal, connection, Push::Cancel, told.collect()).await
}

/// Pushes the shipments of orders: (order, key of the effect, message).
async fn push(
    journal: &Journal,
    connection: &mut Connection,
    push: Push,
    told: Vec<(&OrderId, &str, &Message)>,
) -> Result<(), HandlerError> {
    let orders: BTreeSet<_> = told.iter().map(|(order_id, ..)| *order_id).collect();
    let mut known = store::load(connection, &orders).await?;
    let mut moves = Vec::new();
    let mut effects = Vec::with_capacity(told.len());
    for (order_id, key, message) in told {
        let outcome = match known.remove(order_id) {
            None => "no shipment",
            Some(shipment) => match after(shipment.status, push) {
                Ok(to) => {
                    let cause = message.into();
                    moves.push(Move {
                        shipment,
                        to,
                        cause,
                    });
                    "done"
                }
                Err(illegal) => {
                    tracing::debug!(%illegal, order = %order_id, "nothing to do");
                    "too late"
                }
            },
        };
        effects.push(Effect::of(message, key, outcome));
    }
    let now = journal.now();
    carry_out(journal, connection, moves, now).await?;
    Ok(journal.note(connection, &effects).await?)
}
