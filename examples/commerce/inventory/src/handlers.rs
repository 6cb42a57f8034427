//! The inventory service's handlers of other services' messages.

use std::collections::{BTreeMap, BTreeSet};

use commerce_chassis::{Connection, Journal};
use commerce_contracts::{
    OrderCancelled, OrderPlaced, ReleaseCause, ReservedLine, ShipmentStatus, ShipmentStatusChanged,
    Sku, StockReleased, StockReservationFailed, StockReserved,
};
use mainstay_inbox::{HandlerError, Handlers, Received};

use crate::{
    reservation::{Release, State, commits, release},
    shelf::{Shelf, sum},
    store::{self, Reservation},
};

/// The application has one warehouse.
const WAREHOUSE: &str = "main";

pub(crate) fn handlers(journal: &Journal) -> Handlers<Connection, Journal> {
    Handlers::new()
        .with_state(journal.clone())
        .on_batch(placed)
        .on_batch(cancelled)
        .on_batch(shipped)
}

/// Holds all of each order's stock, or none.
async fn placed(
    connection: &mut Connection,
    received: Vec<Received<OrderPlaced>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let now = journal.now();
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let known = store::load(connection, &orders).await?;
    let lines = received.iter().flat_map(|r| &r.event.lines);
    let skus: BTreeSet<&Sku> = lines.map(|line| &line.sku).collect();
    let mut shelf = Shelf::new(store::levels(connection, &skus).await?);

    let mut entries = journal.entries();
    let mut reservations = Vec::with_capacity(received.len());
    for Received { event, message, .. } in &received {
        if known.contains_key(&event.order_id) {
            // The order was cancelled first; its tombstone stays.
            entries.record(message, event.order_id.as_str(), "stale");
            continue;
        }
        let mut reservation = Reservation {
            order_id: event.order_id.clone(),
            state: State::Held,
            emitted: 0,
            lines: sum(event.lines.iter().map(|line| (&line.sku, line.qty))),
        };
        match shelf.hold(&reservation.lines) {
            Ok(()) => {
                let reserved = StockReserved {
                    reservation_id: reservation_id(&reservation),
                    order_id: event.order_id.clone(),
                    lines: wire(&reservation.lines),
                    expires_at: None,
                };
                entries.emit(
                    reservation_id(&reservation),
                    &mut reservation.emitted,
                    &reserved,
                    message,
                )?;
            }
            Err(shortages) => {
                reservation.state = State::Refused;
                reservation.lines.clear();
                let failed = StockReservationFailed {
                    order_id: event.order_id.clone(),
                    shortages,
                };
                entries.emit(
                    reservation_id(&reservation),
                    &mut reservation.emitted,
                    &failed,
                    message,
                )?;
            }
        }
        entries.record(message, event.order_id.as_str(), "done");
        reservations.push(reservation);
    }
    if !reservations.is_empty() {
        store::insert(connection, &reservations, now).await?;
    }
    if !shelf.held().is_empty() {
        store::hold(connection, shelf.held()).await?;
    }
    Ok(entries.write(connection).await?)
}

/// Releases the stock of cancelled orders, and answers each of them.
async fn cancelled(
    connection: &mut Connection,
    received: Vec<Received<OrderCancelled>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let now = journal.now();
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let mut known = store::load(connection, &orders).await?;

    let mut entries = journal.entries();
    let (mut changed, mut tombstones) = (Vec::new(), Vec::new());
    let mut back: BTreeMap<Sku, i64> = BTreeMap::new();
    for Received { event, message, .. } in &received {
        let order_id = &event.order_id;
        let reservation = known.remove(order_id);
        let new = reservation.is_none();
        let (cause, outcome) = match release(reservation.as_ref().map(|r| r.state)) {
            Release::GiveBack => (ReleaseCause::Compensation, "done"),
            Release::NothingHeld => (ReleaseCause::Cancelled, "nothing held"),
            Release::TooLate => {
                entries.record(message, order_id.as_str(), "too late");
                continue;
            }
        };
        let mut reservation = reservation.unwrap_or_else(|| Reservation {
            order_id: order_id.clone(),
            state: State::Released,
            emitted: 0,
            lines: BTreeMap::new(),
        });
        reservation.state = State::Released;
        for (sku, quantity) in &reservation.lines {
            *back.entry(sku.clone()).or_default() += quantity;
        }
        let released = StockReleased {
            reservation_id: reservation_id(&reservation),
            order_id: order_id.clone(),
            cause,
            lines: wire(&reservation.lines),
        };
        entries.emit(
            reservation_id(&reservation),
            &mut reservation.emitted,
            &released,
            message,
        )?;
        entries.record(message, order_id.as_str(), outcome);
        if new {
            tombstones.push(reservation);
        } else {
            changed.push(reservation);
        }
    }
    if !tombstones.is_empty() {
        store::insert(connection, &tombstones, now).await?;
    }
    if !changed.is_empty() {
        let changed: Vec<&Reservation> = changed.iter().collect();
        store::save(connection, &changed, now).await?;
    }
    if !back.is_empty() {
        store::unhold(connection, &back, false).await?;
    }
    Ok(entries.write(connection).await?)
}

/// Commits the stock of dispatched shipments.
async fn shipped(
    connection: &mut Connection,
    received: Vec<Received<ShipmentStatusChanged>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let now = journal.now();
    let dispatched = |r: &&Received<_>| is_dispatched(&r.event);
    let orders: BTreeSet<_> = received
        .iter()
        .filter(dispatched)
        .map(|r| &r.event.order_id)
        .collect();
    let mut known = if orders.is_empty() {
        std::collections::HashMap::new()
    } else {
        store::load(connection, &orders).await?
    };

    let mut entries = journal.entries();
    let mut leaving = Vec::new();
    let mut out: BTreeMap<Sku, i64> = BTreeMap::new();
    for Received { event, message, .. } in &received {
        let key = format!("{}:{}", event.order_id, event.to.name());
        if !is_dispatched(event) {
            entries.record(message, &key, "noted");
            continue;
        }
        match known.remove(&event.order_id) {
            Some(mut reservation) if commits(Some(reservation.state)) => {
                reservation.state = State::Committed;
                for (sku, quantity) in &reservation.lines {
                    *out.entry(sku.clone()).or_default() += quantity;
                }
                leaving.push(reservation);
                entries.record(message, &key, "done");
            }
            _ => entries.record(message, &key, "nothing held"),
        }
    }
    if !leaving.is_empty() {
        let leaving: Vec<&Reservation> = leaving.iter().collect();
        store::save(connection, &leaving, now).await?;
        store::unhold(connection, &out, true).await?;
        store::move_out(connection, &leaving, now).await?;
    }
    Ok(entries.write(connection).await?)
}

fn is_dispatched(event: &ShipmentStatusChanged) -> bool {
    event.to == ShipmentStatus::Dispatched
}

fn reservation_id(reservation: &Reservation) -> String {
    format!("res-{}", reservation.order_id)
}

pub(crate) fn wire(lines: &BTreeMap<Sku, i64>) -> Vec<ReservedLine> {
    lines
        .iter()
        .map(|(sku, qty)| ReservedLine {
            sku: sku.clone(),
            warehouse: WAREHOUSE.to_owned(),
            qty: *qty,
        })
        .collect()
}
