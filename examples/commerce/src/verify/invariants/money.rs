//! I2: ledger and provider's books agree.

use std::collections::HashSet;

use super::super::{
    finding::Finding,
    observation::{Observation, Order, Payment},
};

pub(super) fn check(observation: &Observation, in_flight: &HashSet<&str>) -> Finding {
    let mut finding = Finding::new(
        "I2",
        "money adds up per order and agrees with the provider",
        "orders",
    );
    for (order_id, payment) in &observation.payments {
        for (name, operation) in &payment.operations {
            if operation.sum != 0 {
                finding.offends(format!(
                    "ledger operation {name} adds up to {}",
                    operation.sum
                ));
            }
        }
        if !observation.orders.contains_key(order_id) {
            finding.offends(format!("order {order_id} has money and does not exist"));
        }
    }
    let nothing = Payment::default();
    for (order_id, order) in &observation.orders {
        finding.checked += 1;
        let payment = observation.payments.get(order_id).unwrap_or(&nothing);
        let at_rest = !in_flight.contains(order_id.as_str());
        if let Some(wrong) = wrong(order, payment, at_rest) {
            finding.offends(format!("order {order_id} ({}): {wrong}", order.status));
        }
    }
    finding
}

fn wrong(order: &Order, payment: &Payment, at_rest: bool) -> Option<String> {
    let account = |name| payment.accounts.get(name).copied().unwrap_or(0);
    let provider = |kind| payment.provided(kind);
    let (held, captured) = (account("held"), account("provider"));
    let authorized = provider("authorize") - provider("void");
    if held < 0 {
        return Some(format!("{held} is held"));
    }
    if captured > provider("authorize") || provider("capture") > provider("authorize") {
        return Some(format!(
            "captured {captured}, authorised {}",
            provider("authorize")
        ));
    }
    if provider("refund") > provider("capture") {
        return Some(format!(
            "the provider gave back {} of {}",
            provider("refund"),
            provider("capture")
        ));
    }
    if authorized > order.total {
        return Some(format!(
            "the provider holds {authorized} of {}",
            order.total
        ));
    }
    if !at_rest {
        return None;
    }
    if captured != provider("capture") - provider("refund") {
        return Some(format!(
            "captured {captured}, the provider says {}",
            provider("capture") - provider("refund")
        ));
    }
    if held != authorized - provider("capture") {
        return Some(format!("{held} is held, the provider says otherwise"));
    }
    let mut returns = order.returns.iter();
    if let Some((id, _)) = returns.find(|(_, refunded)| refunded.is_none()) {
        return Some(format!("the money of {id} was never given back"));
    }
    let returned: i64 = order.returns.values().flatten().sum();
    let due = if order.status == "completed" {
        order.total - payment.refunded - returned
    } else {
        0
    };
    if order.is_terminal() && captured != due {
        return Some(format!("captured {captured} instead of {due}"));
    }
    (order.is_terminal() && held != 0).then(|| format!("{held} is still held"))
}
