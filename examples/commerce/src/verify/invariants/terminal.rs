//! I1: every order ends in time, and its saga with it.

use std::{collections::HashSet, time::Duration};

use super::super::{
    dead_letters,
    finding::Finding,
    observation::{Observation, Order, Run},
};

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
    for run in observation.runs.values() {
        let order = observation.orders.get(&run.order_id);
        let is_excused = with_an_operator.contains(&*run.order_id);
        if let Some(wrong) = wrong(run, order, is_excused) {
            let (id, order_id) = (&run.id, &run.order_id);
            finding.offends(format!("run {id} of order {order_id} {wrong}"));
        }
    }
    finding
}

/// `is_excused`: a message of the order waits for an operator.
fn wrong(run: &Run, order: Option<&Order>, is_excused: bool) -> Option<String> {
    let status = &run.status;
    let step = run.step.as_deref().unwrap_or("its beginning");
    let Some(order) = order else {
        return Some(format!("is {status}, and the order does not exist"));
    };
    if status == "broken" {
        return Some(format!("is broken at {step}"));
    }
    if run.is_overdue && !is_excused {
        return Some(format!("is overdue at {step}"));
    }
    let fits = match &*order.status {
        "completed" => status == "completed",
        "cancelled" => status == "undone",
        // A parcel is on its way behind the last step.
        "dispatched" => matches!(&**status, "running" | "completed"),
        _ => !run.has_ended(),
    };
    (!fits).then(|| format!("is {status}, the order is {}", order.status))
}
