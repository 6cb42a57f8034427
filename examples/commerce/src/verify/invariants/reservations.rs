//! I4: holds end with their orders, and the dispatched quantities are the ordered ones.

use std::collections::HashSet;

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation, in_flight: &HashSet<&str>) -> Finding {
    let mut finding = Finding::new(
        "I4",
        "holds end with their orders, dispatched = ordered",
        "reservations",
    );
    for (order_id, reservation) in &observation.reservations {
        finding.checked += 1;
        let state = &reservation.state;
        let Some(order) = observation.orders.get(order_id) else {
            finding.offends(format!("reservation of {order_id}, which does not exist"));
            continue;
        };
        if matches!(&**state, "held" | "firm" | "committed") && reservation.lines != order.lines {
            finding.offends(format!(
                "reservation of {order_id} ({state}) holds {:?}, ordered were {:?}",
                reservation.lines, order.lines
            ));
        }
        if in_flight.contains(order_id.as_str()) {
            continue;
        }
        let expected: &[&str] = match &*order.status {
            "completed" => &["committed"],
            "cancelled" => &["released", "refused", "expired"],
            _ => continue,
        };
        if !expected.contains(&&**state) {
            finding.offends(format!(
                "reservation of {order_id} is {state}, the order is {}",
                order.status
            ));
        }
    }
    finding
}
