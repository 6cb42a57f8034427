//! The services that carry out the steps, and the payment provider.

use std::collections::{BTreeMap, BTreeSet};

use commerce_chassis::Snapshot;

use super::Observation;
use crate::error::{Failure, cannot_check};

#[derive(Default, Debug)]
pub(crate) struct Stock {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
}

/// A change of the stock on hand.
#[derive(Debug)]
pub(crate) struct Movement {
    pub(crate) name: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
}

#[derive(Default, Debug)]
pub(crate) struct Reservation {
    pub(crate) state: String,
    pub(crate) lines: BTreeMap<String, i64>,
}

impl Reservation {
    /// Whether stock is reserved for it.
    pub(crate) fn holds_stock(&self) -> bool {
        matches!(&*self.state, "held" | "firm")
    }
}

#[derive(Default, Debug)]
pub(crate) struct Payment {
    pub(crate) has_intent: bool,
    /// The operations of the ledger: the sum of their entries, and the amount that they move.
    pub(crate) operations: BTreeMap<String, Operation>,
    /// Sums of the ledger entries by account.
    pub(crate) accounts: BTreeMap<String, i64>,
    /// What operators gave back, of what was captured; returns are with their orders.
    pub(crate) refunded: i64,
    /// The provider's own books: kind and amount by effect key.
    pub(crate) at_provider: BTreeMap<String, (String, i64)>,
}

#[derive(Default, Debug)]
pub(crate) struct Operation {
    pub(crate) sum: i64,
    pub(crate) amount: i64,
}

impl Payment {
    /// What the provider has done of a kind.
    pub(crate) fn provided(&self, kind: &str) -> i64 {
        let of_kind = self.at_provider.values().filter(|(it, _)| it == kind);
        of_kind.map(|(_, amount)| amount).sum()
    }
}

#[derive(Debug)]
pub(crate) struct Shipment {
    pub(crate) status: String,
    pub(crate) is_due: bool,
    /// The statuses that it has reached.
    pub(crate) reached: BTreeSet<String>,
}

impl Observation {
    pub(super) async fn read_inventory(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let stock = "SELECT sku, on_hand, reserved FROM stock_items";
        let stock: Vec<(String, i64, i64)> = snapshot.all(stock).await.map_err(cannot_check)?;
        let level = |(sku, on_hand, reserved)| (sku, Stock { on_hand, reserved });
        self.stock = stock.into_iter().map(level).collect();
        let moved = "SELECT movement_key, sku, quantity FROM stock_movements";
        let moved: Vec<(String, String, i64)> = snapshot.all(moved).await.map_err(cannot_check)?;
        let movement = |(name, sku, quantity)| Movement {
            name,
            sku,
            quantity,
        };
        self.movements = moved.into_iter().map(movement).collect();
        let reservations = "SELECT order_id, state FROM reservations";
        let reservations: Vec<(String, String)> =
            snapshot.all(reservations).await.map_err(cannot_check)?;
        for (order_id, state) in reservations {
            self.reservations.entry(order_id).or_default().state = state;
        }
        let lines = "SELECT order_id, sku, quantity FROM reservation_lines";
        let lines: Vec<(String, String, i64)> = snapshot.all(lines).await.map_err(cannot_check)?;
        for (order_id, sku, quantity) in lines {
            let reservation = self.reservations.entry(order_id).or_default();
            reservation.lines.insert(sku, quantity);
        }
        Ok(())
    }

    pub(super) async fn read_payments(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let intents = "SELECT order_id FROM intents";
        let intents: Vec<(String,)> = snapshot.all(intents).await.map_err(cannot_check)?;
        for (order_id,) in intents {
            self.payments.entry(order_id).or_default().has_intent = true;
        }
        let refunds = "SELECT order_id, amount_minor FROM refunds
             WHERE refunded_at IS NOT NULL AND return_id IS NULL";
        let refunds: Vec<(String, i64)> = snapshot.all(refunds).await.map_err(cannot_check)?;
        for (order_id, amount) in refunds {
            self.payments.entry(order_id).or_default().refunded += amount;
        }
        let entries = "SELECT order_id, operation, account, amount_minor FROM ledger_entries";
        let entries: Vec<(String, String, String, i64)> =
            snapshot.all(entries).await.map_err(cannot_check)?;
        for (order_id, operation, account, amount) in entries {
            let payment = self.payments.entry(order_id).or_default();
            let operation = payment.operations.entry(operation).or_default();
            operation.sum += amount;
            operation.amount = operation.amount.max(amount);
            *payment.accounts.entry(account).or_default() += amount;
        }
        Ok(())
    }

    pub(super) async fn read_shipments(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let shipments = "SELECT order_id, status, due_at IS NOT NULL FROM shipments";
        let shipments: Vec<(String, String, bool)> =
            snapshot.all(shipments).await.map_err(cannot_check)?;
        for (order_id, status, is_due) in shipments {
            let shipment = Shipment {
                status,
                is_due,
                reached: BTreeSet::new(),
            };
            self.shipments.insert(order_id, shipment);
        }
        let scans = "SELECT order_id, status FROM tracking_events";
        let scans: Vec<(String, String)> = snapshot.all(scans).await.map_err(cannot_check)?;
        for (order_id, status) in scans {
            if let Some(shipment) = self.shipments.get_mut(&order_id) {
                shipment.reached.insert(status);
            }
        }
        Ok(())
    }

    pub(super) async fn read_provider(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        let operations = "SELECT order_id, effect_key, kind, amount_minor FROM operations";
        let operations: Vec<(String, String, String, i64)> =
            snapshot.all(operations).await.map_err(cannot_check)?;
        for (order_id, effect_key, kind, amount) in operations {
            let payment = self.payments.entry(order_id).or_default();
            payment.at_provider.insert(effect_key, (kind, amount));
        }
        Ok(())
    }
}
