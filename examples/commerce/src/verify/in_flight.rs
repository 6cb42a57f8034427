//! The orders with something in flight.

use std::collections::HashSet;

use commerce_contracts::SUBSCRIPTIONS;

use super::{dead_letters, observation::Observation};

/// Orders with a message in an outbox or in a dead letter queue, an unhandled record in the log, an
/// open intent, or a shipment with a due time.
pub(crate) fn orders(observation: &Observation) -> HashSet<&str> {
    let mut orders = dead_letters::orders(observation);
    for journal in observation.journals.values() {
        orders.extend(
            journal
                .outbox
                .iter()
                .filter_map(|row| row.order_id.as_deref()),
        );
    }
    for record in &observation.log.records {
        let (Some(order_id), Some(envelope)) = (&record.order_id, &record.envelope) else {
            continue;
        };
        let identity = (envelope.source.clone(), envelope.id.clone());
        let waits = SUBSCRIPTIONS.iter().any(|subscription| {
            let handles =
                subscription.topic == record.topic && subscription.kinds.contains(&&*envelope.kind);
            handles
                && record.offset
                    >= observation
                        .log
                        .committed(subscription.service, record.partition)
                && observation
                    .journals
                    .get(subscription.service)
                    .is_none_or(|journal| !journal.processed.contains(&identity))
        });
        if waits {
            orders.insert(order_id.as_str());
        }
    }
    let intents = observation
        .payments
        .iter()
        .filter(|(_, payment)| payment.has_intent);
    orders.extend(intents.map(|(order_id, _)| order_id.as_str()));
    let due = observation
        .shipments
        .iter()
        .filter(|(_, shipment)| shipment.is_due);
    orders.extend(due.map(|(order_id, _)| order_id.as_str()));
    orders
}
