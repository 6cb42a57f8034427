//! I10: one shipment for each confirmed order, none for a cancelled one.

use std::collections::HashSet;

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation, in_flight: &HashSet<&str>) -> Finding {
    let mut finding = Finding::new(
        "I10",
        "one shipment per confirmed order, none if cancelled",
        "confirmed orders",
    );
    for (order_id, order) in &observation.orders {
        let shipment = observation.shipments.get(order_id);
        if !order.has("Confirmed") {
            if shipment.is_some() {
                finding.offends(format!(
                    "order {order_id} was never confirmed and has a shipment"
                ));
            }
            continue;
        }
        finding.checked += 1;
        let at_rest = !in_flight.contains(order_id.as_str());
        match shipment {
            // It may be cancelled before it is packed.
            None if at_rest && order.status != "cancelled" => {
                finding.offends(format!("order {order_id} has no shipment"));
            }
            Some(shipment)
                if at_rest && order.status == "cancelled" && shipment.status != "cancelled" =>
            {
                finding.offends(format!(
                    "order {order_id} is cancelled, its shipment is {}",
                    shipment.status
                ));
            }
            Some(shipment)
                if order.status == "completed"
                    && !matches!(&*shipment.status, "delivered" | "returned") =>
            {
                finding.offends(format!(
                    "order {order_id} is completed, its shipment is {}",
                    shipment.status
                ));
            }
            _ => {}
        }
    }
    for order_id in observation.shipments.keys() {
        if !observation.orders.contains_key(order_id) {
            finding.offends(format!("shipment of {order_id}, which does not exist"));
        }
    }
    finding
}
