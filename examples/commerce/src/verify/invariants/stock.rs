//! I3: no oversell; movements and holds add up to the stock.

use std::collections::BTreeMap;

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new("I3", "no oversell, stock and holds add up per SKU", "SKUs");
    let mut held: BTreeMap<&str, i64> = BTreeMap::new();
    let holds = observation
        .reservations
        .values()
        .filter(|reservation| reservation.holds_stock());
    for (sku, quantity) in holds.flat_map(|reservation| &reservation.lines) {
        *held.entry(sku).or_default() += quantity;
    }
    let mut moved: BTreeMap<&str, i64> = BTreeMap::new();
    for movement in &observation.movements {
        *moved.entry(&movement.sku).or_default() += movement.quantity;
    }
    for (sku, stock) in &observation.stock {
        finding.checked += 1;
        let (on_hand, reserved) = (stock.on_hand, stock.reserved);
        if reserved < 0 || reserved > on_hand {
            finding.offends(format!("{sku}: {reserved} reserved of {on_hand} on hand"));
        }
        let moved = moved.remove(sku.as_str()).unwrap_or(0);
        if moved != on_hand {
            finding.offends(format!(
                "{sku}: {on_hand} on hand, its movements add up to {moved}"
            ));
        }
        let held = held.remove(sku.as_str()).unwrap_or(0);
        if held != reserved {
            finding.offends(format!(
                "{sku}: {reserved} reserved, holds add up to {held}"
            ));
        }
    }
    for (sku, held) in held {
        finding.offends(format!("{sku}: {held} held of a SKU that does not exist"));
    }
    for (sku, moved) in moved {
        finding.offends(format!("{sku}: {moved} moved of a SKU that does not exist"));
    }
    finding
}
