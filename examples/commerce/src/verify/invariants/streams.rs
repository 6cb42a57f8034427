//! I9: the stream of an order has no gaps, and its replay leads to the order's row.

use super::super::{
    finding::Finding,
    observation::{Observation, Order},
};

/// The status that each event leads to. It is written down here once more on purpose.
const STATUSES: [(&str, &str); 14] = [
    ("Placed", "placed"),
    ("StockReserved", "stock_reserved"),
    ("PaymentAuthorized", "payment_authorized"),
    ("Confirmed", "confirmed"),
    ("Packed", "fulfilling"),
    ("PaymentCaptured", "captured"),
    ("Dispatched", "dispatched"),
    ("Delivered", "completed"),
    ("CameBack", "dispatched"),
    ("ReturnRequested", "completed"),
    ("ReturnRefunded", "completed"),
    ("CancellationBegun", "cancelling"),
    ("StepUndone", "cancelling"),
    ("Cancelled", "cancelled"),
];

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I9",
        "an order's events are gapless and lead to its row",
        "events",
    );
    for (order_id, order) in &observation.orders {
        finding.checked += order.events.len();
        if let Some(wrong) = wrong(order) {
            finding.offends(format!("order {order_id}: {wrong}"));
        }
    }
    for stream in &observation.orphans {
        finding.offends(format!(
            "stream {stream} is of an order that does not exist"
        ));
    }
    finding
}

fn wrong(order: &Order) -> Option<String> {
    for ((version, kind), expected) in order.events.iter().zip(1..) {
        if *version != expected {
            return Some(format!("version {version} follows {}", expected - 1));
        }
        if (expected == 1) != (kind == "Placed") {
            return Some(format!("event {version} is {kind}"));
        }
    }
    let last = order.events.last();
    let (version, kind) = last.map_or((0, "nothing"), |(version, kind)| (*version, kind));
    if version != order.version {
        return Some(format!(
            "its stream ends at version {version}, its row at {}",
            order.version
        ));
    }
    let replayed = STATUSES.iter().find(|(event, _)| *event == kind);
    let replayed = replayed.map_or("unknown", |(_, status)| status);
    (replayed != order.status).then(|| {
        format!(
            "its last event is {kind}, so it is {replayed}; its row says {}",
            order.status
        )
    })
}
