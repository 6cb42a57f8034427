//! I10: one shipment for each confirmed order, none for a cancelled one.

use std::collections::HashSet;

use super::super::{finding::Finding, picture::Picture};

pub(super) fn check(picture: &Picture, in_flight: &HashSet<&str>) -> Finding {
    let mut finding = Finding::new(
        "I10",
        "one shipment per confirmed order, none sent if cancelled",
        "confirmed orders",
    );
    for (order_id, order) in &picture.orders {
        let shipment = picture.shipments.get(order_id);
        if !order.was_confirmed {
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
            None if at_rest => finding.offends(format!("order {order_id} has no shipment")),
            Some(shipment) if order.status == "cancelled" && shipment.status != "cancelled" => {
                finding.offends(format!(
                    "order {order_id} is cancelled, its shipment is {}",
                    shipment.status
                ));
            }
            Some(shipment) if order.status == "completed" && shipment.status != "delivered" => {
                finding.offends(format!(
                    "order {order_id} is completed, its shipment is {}",
                    shipment.status
                ));
            }
            _ => {}
        }
    }
    for order_id in picture.shipments.keys() {
        if !picture.orders.contains_key(order_id) {
            finding.offends(format!("shipment of {order_id}, which does not exist"));
        }
    }
    finding
}
