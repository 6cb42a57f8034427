//! I7: the messages of a key are in their order in the log.

use std::collections::{HashMap, HashSet};

use mainstay_saga::Attempt;

use super::super::{finding::Finding, log::Record, observation::Observation};

/// Kinds whose messages of an order come at most once each, in this order.
const STAGES: [&[&str]; 2] = [
    &["OrderPlaced", "OrderConfirmed", "OrderCompleted"],
    &["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded"],
];

/// The statuses of a parcel, in their order.
const SCANS: [&str; 10] = [
    "created",
    "allocated",
    "picked",
    "packed",
    "dispatched",
    "in_transit",
    "out_for_delivery",
    "delivered",
    "delivery_failed",
    "returned",
];

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I7",
        "the messages of an order are in order, none regresses",
        "messages",
    );
    let mut seen: HashSet<&str> = HashSet::new();
    // How far each thing of an order is, by the partition that tells it.
    let mut reached: HashMap<(i64, String), usize> = HashMap::new();
    for record in &observation.log.records {
        let Some(envelope) = &record.envelope else {
            continue;
        };
        // A message may be in the log twice; its first position counts.
        if !seen.insert(&envelope.id) {
            continue;
        }
        let Some((thing, stage)) = place(record) else {
            continue;
        };
        finding.checked += 1;
        let reached = reached.entry((record.partition, thing)).or_default();
        if stage < *reached {
            let kind = &envelope.kind;
            let order_id = record.order_id.as_deref().unwrap_or("?");
            finding.offends(format!(
                "{kind} {} of order {order_id} comes too late in {}",
                envelope.id, record.topic
            ));
        }
        *reached = stage.max(*reached);
    }
    finding
}

/// What the record is about, and at which stage that is.
fn place(record: &Record) -> Option<(String, usize)> {
    let envelope = record.envelope.as_ref()?;
    if let Some(command) = envelope.command() {
        // Attempts rise, and nothing follows the undo.
        let stage = match command.attempt {
            Attempt::Do(number) => usize::try_from(number).ok()?,
            Attempt::Undo => usize::MAX,
        };
        return Some((format!("{}:{}", command.run, command.step), stage));
    }
    if let Some(version) = record.version {
        return Some((record.order_id.clone()?, usize::try_from(version).ok()?));
    }
    if let Some(scan) = &record.scan {
        let stage = SCANS.iter().position(|status| *status == scan.status);
        return Some((scan.parcel.clone(), stage?));
    }
    let order_id = record.order_id.as_ref()?;
    STAGES.iter().find_map(|stages| {
        let stage = stages.iter().position(|kind| *kind == envelope.kind)?;
        Some((format!("{order_id} {}", stages.first()?), stage))
    })
}
