//! The shipping service's handlers of events and commands.

use std::collections::BTreeSet;

use commerce_chassis::{Connection, Journal, rows};
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
    let mut entries = journal.entries();
    for Received { event, message, .. } in &received {
        let shipment = Shipment {
            order_id: event.order_id.clone(),
            status: ShipmentStatus::Created,
            emitted: 0,
            due_at: due_at(ShipmentStatus::Created, now),
        };
        let parcel = Parcel {
            ship_to: rows(&event.ship_to)?,
            contents: rows(&event.lines)?,
        };
        shipments.push((shipment, parcel));
        entries.record(message, event.order_id.as_str(), "done");
    }
    store::insert(connection, &shipments, now).await?;
    let entered: Vec<_> = shipments
        .iter()
        .map(|(shipment, _)| (&shipment.order_id, shipment.status))
        .collect();
    store::track(connection, &entered, now).await?;
    Ok(entries.write(connection).await?)
}

async fn dispatch(
    connection: &mut Connection,
    received: Vec<Received<DispatchShipment>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let pushed = received
        .iter()
        .map(|r| (&r.event.order_id, r.event.effect_key.as_str(), &r.message));
    push(&journal, connection, Push::Dispatch, pushed.collect()).await
}

async fn cancelled(
    connection: &mut Connection,
    received: Vec<Received<OrderCancelled>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let pushed = received
        .iter()
        .map(|r| (&r.event.order_id, r.event.order_id.as_str(), &r.message));
    push(&journal, connection, Push::Cancel, pushed.collect()).await
}

/// Pushes the shipments of orders: (order, key of the effect, message).
async fn push(
    journal: &Journal,
    connection: &mut Connection,
    push: Push,
    pushed: Vec<(&OrderId, &str, &Message)>,
) -> Result<(), HandlerError> {
    let orders: BTreeSet<_> = pushed.iter().map(|(order_id, ..)| *order_id).collect();
    let mut known = store::load(connection, &orders).await?;
    let mut moves = Vec::new();
    let mut entries = journal.entries();
    for (order_id, key, message) in pushed {
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
                    tracing::debug!(%illegal, order = %order_id, "the push comes too late and is skipped");
                    "too late"
                }
            },
        };
        entries.record(message, key, outcome);
    }
    let now = journal.now();
    carry_out(&mut entries, connection, moves, now).await?;
    Ok(entries.write(connection).await?)
}
