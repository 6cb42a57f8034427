//! I12: one idempotency key, one order or return, one answer.

use std::collections::HashMap;

use commerce_chassis::ANSWERS_KEPT;
use serde::Deserialize;

use super::super::{finding::Finding, observation::Observation};

#[derive(Deserialize)]
struct Answer {
    order_id: String,
    /// None: the key is of an order.
    return_id: Option<String>,
}

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I12",
        "one order and one answer per idempotency key",
        "keys",
    );
    let mut placed: HashMap<String, &str> = HashMap::new();
    let mut returned: HashMap<String, &str> = HashMap::new();
    for key in &observation.keys {
        finding.checked += 1;
        let name = &key.name;
        let body = key.answer.as_deref().unwrap_or_default();
        let Ok(Answer {
            order_id,
            return_id,
        }) = serde_json::from_slice(body)
        else {
            finding.offends(format!("key {name} does not answer with an order"));
            continue;
        };
        let order = observation.orders.get(&order_id);
        if order.is_none() {
            finding.offends(format!(
                "key {name} answers with order {order_id}, which does not exist"
            ));
        }
        if let Some(id) = return_id {
            if order.is_some_and(|order| !order.returns.contains_key(&id)) {
                finding.offends(format!(
                    "key {name} answers with {id}, which does not exist"
                ));
            }
            if let Some(other) = returned.insert(id.clone(), name) {
                finding.offends(format!("keys {other} and {name} share {id}"));
            }
            continue;
        }
        if let Some(other) = placed.insert(order_id.clone(), name) {
            finding.offends(format!("keys {other} and {name} share order {order_id}"));
        }
    }
    // Older answers are deleted.
    let kept = i64::try_from(ANSWERS_KEPT.as_micros()).unwrap_or(i64::MAX);
    let recent = |placed_at: i64| observation.now.saturating_sub(placed_at) < kept;
    for (order_id, order) in &observation.orders {
        if recent(order.placed_at) && !placed.contains_key(order_id) {
            finding.offends(format!("order {order_id} was placed under no key"));
        }
    }
    finding
}
