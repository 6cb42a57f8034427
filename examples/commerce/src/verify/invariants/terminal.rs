//! I1: every order ends in time.

use std::{collections::HashSet, time::Duration};

use super::super::{dead_letters, finding::Finding, observation::Observation};

/// How long an order may stay in a status.
const fn deadline(status: &str) -> Duration {
    match status.as_bytes() {
        b"cancelling" => Duration::from_secs(60),
        b"confirmed" | b"fulfilling" | b"captured" | b"dispatched" => {
            Duration::from_secs(24 * 3600)
        }
        _ => Duration::from_secs(120),
    }
}

pub(super) fn check(observation: &Observation, in_flight: &HashSet<&str>) -> Finding {
    let mut finding = Finding::new("I1", "every order ends in time, none is stuck", "orders");
    let with_an_operator = dead_letters::orders(observation);
    for (order_id, order) in &observation.orders {
        finding.checked += 1;
        let status = &order.status;
        if order.is_terminal() {
            if order.awaiting != "[]" {
                finding.offends(format!(
                    "order {order_id} is {status} and still waits for {}",
                    order.awaiting
                ));
            }
            continue;
        }
        if !in_flight.contains(order_id.as_str()) {
            finding.offends(format!(
                "order {order_id} is {status} and nothing is in flight for it"
            ));
        }
        let age = observation.as_of.saturating_sub(order.since);
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        if age > deadline(status) && !with_an_operator.contains(order_id.as_str()) {
            finding.offends(format!(
                "order {order_id} is {status} for longer than {} s",
                deadline(status).as_secs()
            ));
        }
    }
    finding
}
