//! The invariants, one file each.

mod cards;
mod effects;
mod idempotency;
mod locks;
mod loss;
mod money;
mod notifications;
mod order_of_messages;
mod projections;
mod reservations;
mod shipments;
mod stock;
mod streams;
mod terminal;

use std::collections::HashSet;

use super::{finding::Finding, observation::Observation};

/// Checks all invariants. `in_flight` holds the orders with something in flight.
pub(crate) fn check(observation: &Observation, in_flight: &HashSet<&str>) -> Vec<Finding> {
    vec![
        terminal::check(observation, in_flight),
        money::check(observation, in_flight),
        stock::check(observation),
        reservations::check(observation, in_flight),
        effects::check(observation),
        loss::check(observation),
        order_of_messages::check(observation),
        projections::check(observation),
        streams::check(observation),
        shipments::check(observation, in_flight),
        notifications::check(observation),
        idempotency::check(observation),
        locks::check(observation),
        cards::check(observation),
    ]
}
