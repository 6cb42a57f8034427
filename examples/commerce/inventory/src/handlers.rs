//! The inventory service's handlers of other services' messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use commerce_chassis::{Connection, Journal};
use commerce_contracts::{
    OrderCancelled, OrderPlaced, ReleaseCause, ReservedLine, ShipmentStatusChanged, Sku,
    StockReleased, StockReservationFailed, StockReserved,
};
use mainstay_inbox::{HandlerError, Handlers, Received};

use crate::{
    reservation::{Release, Ship, State, release, ship},
    shelf::{Shelf, sum},
    store::{self, Reservation},
};

/// The application has one warehouse.
const WAREHOUSE: &str = "main";

/// What the handlers need besides the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Handling {
    journal: Journal,
    hold: Duration,
}

pub(crate) fn handlers(journal: &Journal, hold: Duration) -> Handlers<Connection, Handling> {
    let journal = journal.clone();
    Handlers::new()
        .with_state(Handling { journal, hold })
        .on_batch(placed)
        .on_batch(cancelled)
        .on_batch(shipped)
}

/// Holds all of each order's stock, or none.
async fn placed(
    connection: &mut Connection,
    received: Vec<Received<OrderPlaced>>,
    Handling { journal, hold }: Handling,
) -> Result<(), HandlerError> {
    let now = journal.now();
    let hold = i64::try_from(hold.as_micros()).unwrap_or(i64::MAX);
    let expires_at = now.saturating_add(hold);
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
            expires_at: Some(expires_at),
            emitted: 0,
            lines: sum(event.lines.iter().map(|line| (&line.sku, line.qty))),
        };
        match shelf.hold(&reservation.lines) {
            Ok(()) => {
                let reserved = StockReserved {
                    reservation_id: reservation_id(&reservation),
                    order_id: event.order_id.clone(),
                    lines: wire(&reservation.lines),
                    expires_at: reservation.expires_at,
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
                reservation.expires_at = None;
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
    Handling { journal, .. }: Handling,
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
            expires_at: None,
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

/// Keeps the stock of confirmed orders, which have a shipment, and commits that of dispatched ones.
async fn shipped(
    connection: &mut Connection,
    received: Vec<Received<ShipmentStatusChanged>>,
    Handling { journal, .. }: Handling,
) -> Result<(), HandlerError> {
    let now = journal.now();
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let mut known = store::load(connection, &orders).await?;

    let mut entries = journal.entries();
    let mut changed = BTreeSet::new();
    let (mut again, mut out) = (BTreeMap::new(), BTreeMap::new());
    for Received { event, message, .. } in &received {
        let key = format!("{}:{}", event.order_id, event.to.name());
        let step = known
            .get_mut(&event.order_id)
            .map(|reservation| (ship(reservation.state, event.to), reservation));
        let outcome = match step {
            None | Some((Ship::Note, _)) => "noted",
            Some((Ship::Keep, reservation)) => {
                if reservation.expires_at.take().is_some() {
                    changed.insert(&event.order_id);
                }
                "kept"
            }
            Some((Ship::Commit | Ship::HoldAgain, reservation)) => {
                let had_expired = reservation.state == State::Expired;
                for (sku, quantity) in &reservation.lines {
                    *out.entry(sku.clone()).or_default() += quantity;
                    if had_expired {
                        *again.entry(sku.clone()).or_default() += quantity;
                    }
                }
                reservation.state = State::Committed;
                changed.insert(&event.order_id);
                "done"
            }
        };
        entries.record(message, &key, outcome);
    }
    if !changed.is_empty() {
        let changed: Vec<&Reservation> = changed.iter().filter_map(|id| known.get(*id)).collect();
        store::save(connection, &changed, now).await?;
        if !again.is_empty() {
            // Without enough stock the message goes to an operator: the goods have left.
            store::levels(connection, &again.keys().collect()).await?;
            store::hold(connection, &again).await?;
        }
        if !out.is_empty() {
            store::unhold(connection, &out, true).await?;
            let left = changed
                .into_iter()
                .filter(|it| it.state == State::Committed);
            store::move_out(connection, &left.collect::<Vec<_>>(), now).await?;
        }
    }
    Ok(entries.write(connection).await?)
}

pub(crate) fn reservation_id(reservation: &Reservation) -> String {
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
