//! The invariants, one file each.

mod effects;
mod idempotency;
mod loss;
mod money;
mod order_of_events;
mod reservations;
mod shipments;
mod stock;
mod terminal;

use std::collections::HashSet;

use super::{finding::Finding, picture::Picture};

/// Checks all of them. `in_flight` holds the orders that something is still to happen for.
pub(crate) fn check(picture: &Picture, in_flight: &HashSet<&str>) -> Vec<Finding> {
    vec![
        terminal::check(picture, in_flight),
        money::check(picture, in_flight),
        stock::check(picture),
        reservations::check(picture, in_flight),
        effects::check(picture),
        loss::check(picture),
        order_of_events::check(picture),
        shipments::check(picture, in_flight),
        idempotency::check(picture),
    ]
}
