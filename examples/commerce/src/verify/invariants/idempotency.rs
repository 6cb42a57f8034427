//! I12: one idempotency key, one order, one answer.

use std::collections::HashMap;

use serde::Deserialize;

use super::super::{finding::Finding, observation::Observation};

#[derive(Deserialize)]
struct Answer {
    order_id: String,
}

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I12",
        "one order and one answer per idempotency key",
        "keys",
    );
    let mut placed: HashMap<&str, &str> = HashMap::new();
    for key in &observation.keys {
        finding.checked += 1;
        let name = &key.name;
        if !observation.orders.contains_key(&key.order_id) {
            finding.offends(format!(
                "key {name} answers with order {}, which does not exist",
                key.order_id
            ));
        }
        if let Some(other) = placed.insert(&key.order_id, name) {
            finding.offends(format!(
                "keys {other} and {name} share order {}",
                key.order_id
            ));
        }
        let answer: Result<Answer, _> = serde_json::from_str(&key.answer);
        if !answer.is_ok_and(|answer| answer.order_id == key.order_id) {
            finding.offends(format!(
                "key {name} does not answer with order {}",
                key.order_id
            ));
        }
    }
    for order_id in observation.orders.keys() {
        if !placed.contains_key(order_id.as_str()) {
            finding.offends(format!("order {order_id} was placed under no key"));
        }
    }
    finding
}
