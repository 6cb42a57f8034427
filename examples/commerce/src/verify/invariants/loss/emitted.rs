//! What the rows of a service say that it has emitted is in the log, or still in its outbox.

use std::collections::HashSet;

use super::super::super::{finding::Finding, log::Envelope, observation::Observation};

/// The message that each event of an order's stream leads to.
pub(super) const TOLD: [(&str, &str); 7] = [
    ("Placed", "OrderPlaced"),
    ("Confirmed", "OrderConfirmed"),
    ("Delivered", "OrderCompleted"),
    ("CameBack", "RefundPayment"),
    ("ReturnRequested", "RefundPayment"),
    ("ReturnRefunded", "OrderCompleted"),
    ("Cancelled", "OrderCancelled"),
];

/// The statuses of a parcel that shipping tells.
const SCANS: [&str; 6] = [
    "packed",
    "dispatched",
    "delivered",
    "delivery_failed",
    "returned",
    "cancelled",
];

/// The messages in the log and in the outboxes.
pub(super) struct Emitted<'a> {
    ids: HashSet<&'a str>,
    /// Kind and order of what no command asked for.
    told: HashSet<(&'a str, &'a str)>,
    /// Order and status of scans.
    scans: HashSet<(&'a str, &'a str)>,
    /// The orders with a record that cannot be read: it may be any message.
    unreadable: HashSet<&'a str>,
    /// The orders with a message whose payload cannot be looked at: it may be any scan.
    unseen: HashSet<&'a str>,
}

impl<'a> Emitted<'a> {
    pub(super) fn of(observation: &'a Observation) -> Self {
        let mut emitted = Self {
            ids: HashSet::new(),
            told: HashSet::new(),
            scans: HashSet::new(),
            unreadable: observation.log.unreadable(),
            unseen: HashSet::new(),
        };
        for record in &observation.log.records {
            let order_id = record.order_id.as_deref().unwrap_or_default();
            emitted.add(order_id, record.envelope.as_ref());
            match &record.scan {
                Some(scan) => drop(emitted.scans.insert((order_id, &scan.status))),
                None if record.topic == "shipping" => drop(emitted.unseen.insert(order_id)),
                None => {}
            }
        }
        for mailbox in observation.mailboxes.values() {
            for row in mailbox.unpublished() {
                let order_id = row.order_id.as_deref().unwrap_or_default();
                emitted.add(order_id, row.envelope.as_ref());
                emitted.unseen.insert(order_id);
            }
            // An operator may have made a message of an unreadable record.
            let letters = mailbox.letters.iter();
            let ids = letters.filter_map(|letter| letter.event_id.as_deref());
            emitted.ids.extend(ids);
        }
        emitted
    }

    fn add(&mut self, order_id: &'a str, envelope: Option<&'a Envelope>) {
        let Some(envelope) = envelope else {
            self.unreadable.insert(order_id);
            return;
        };
        self.ids.insert(&envelope.id);
        if envelope.answers().is_none() {
            self.told.insert((&envelope.kind, order_id));
        }
    }

    pub(super) fn check(&self, observation: &Observation, finding: &mut Finding) {
        let lost = "is neither in the log nor in the outbox";
        for run in observation.runs.values() {
            for command in &run.sent {
                let order_id = &*run.order_id;
                if !self.ids.contains(&**command) && !self.unreadable.contains(order_id) {
                    finding.offends(format!("command {command} of order {order_id} {lost}"));
                }
            }
        }
        for (order_id, kind) in expected(observation) {
            let is_there =
                self.told.contains(&(kind, order_id)) || self.unreadable.contains(order_id);
            if !is_there {
                finding.offends(format!("{kind} of order {order_id} {lost}"));
            }
        }
        for (order_id, shipment) in &observation.shipments {
            for status in SCANS.iter().filter(|it| shipment.reached.contains(**it)) {
                let is_there =
                    self.scans.contains(&(order_id, status)) || self.unseen.contains(&**order_id);
                if !is_there {
                    finding.offends(format!(
                        "the parcel of order {order_id} is {status}, and that {lost}"
                    ));
                }
            }
        }
    }
}

/// Orders, and the kinds of messages that their rows lead to.
fn expected(observation: &Observation) -> impl Iterator<Item = (&str, &'static str)> {
    let orders = observation.orders.iter().flat_map(|(order_id, order)| {
        let told = TOLD.iter().filter(|(event, _)| order.has(event));
        told.map(|(_, kind)| (&**order_id, *kind))
    });
    let reservations = observation.reservations.iter();
    let expired = reservations.filter(|(_, reservation)| reservation.state == "expired");
    orders.chain(expired.map(|(order_id, _)| (&**order_id, "StockReleased")))
}
