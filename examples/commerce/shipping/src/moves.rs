//! Writes that shipments moved: their rows, their tracking events, and the emitted events.

use std::time::Duration;

use commerce_chassis::{Cause, Connection, Entries, Result};
use commerce_contracts::{ShipmentStatus, ShipmentStatusChanged};

use crate::{
    shipment::{is_milestone, stay},
    store::{self, Shipment},
};

/// A shipment and its next status.
pub(crate) struct Move<'a> {
    pub(crate) shipment: Shipment,
    pub(crate) to: ShipmentStatus,
    pub(crate) cause: Cause<'a>,
}

/// Moves shipments, and adds the events about them to `entries`.
pub(crate) async fn carry_out(
    entries: &mut Entries<'_>,
    connection: &mut Connection,
    pushed: Vec<Move<'_>>,
    now: i64,
) -> Result<()> {
    if pushed.is_empty() {
        return Ok(());
    }
    let mut moved = Vec::with_capacity(pushed.len());
    for Move {
        mut shipment,
        to,
        cause,
    } in pushed
    {
        let from = shipment.status;
        shipment.status = to;
        shipment.due_at = due_at(to, now);
        if is_milestone(to) {
            let changed = ShipmentStatusChanged {
                shipment_id: shipment.id(),
                order_id: shipment.order_id.clone(),
                tracking_no: shipment.tracking_no(),
                carrier: "simulated".to_owned(),
                from,
                to,
                location: None,
                occurred_at: now,
            };
            entries.emit(shipment.id(), &mut shipment.emitted, &changed, cause)?;
        }
        moved.push((shipment, from));
    }
    store::save(connection, &moved, now).await?;
    let entered: Vec<_> = moved
        .iter()
        .map(|(shipment, _)| (&shipment.order_id, shipment.status))
        .collect();
    store::track(connection, &entered, now).await
}

/// When a shipment that enters `status` at `now` falls due.
pub(crate) fn due_at(status: ShipmentStatus, now: i64) -> Option<i64> {
    let micros = |stay: Duration| i64::try_from(stay.as_micros()).unwrap_or(i64::MAX);
    stay(status).map(|stay| now.saturating_add(micros(stay)))
}
