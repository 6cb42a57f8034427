//! The orders with something in flight.

use std::collections::HashSet;

use commerce_contracts::SUBSCRIPTIONS;

use super::{dead_letters, log::Record, observation::Observation};

/// Orders with a message in an outbox or in a dead letter queue, an unhandled record in the log, a
/// run of a saga that has not ended, an open intent, or a shipment with a due time.
pub(crate) fn orders(observation: &Observation) -> HashSet<&str> {
    let mut orders = dead_letters::orders(observation);
    let outboxes = observation.mailboxes.values();
    let waiting = outboxes.flat_map(|mailbox| &mailbox.outbox);
    orders.extend(waiting.filter_map(|row| row.order_id.as_deref()));
    for record in &observation.log.records {
        if let Some(order_id) = &record.order_id
            && is_unread(observation, record)
        {
            orders.insert(order_id.as_str());
        }
    }
    let runs = observation.runs.values().filter(|run| !run.has_ended());
    orders.extend(runs.map(|run| run.order_id.as_str()));
    let intents = observation.payments.iter();
    let intents = intents.filter(|(_, payment)| payment.has_intent);
    orders.extend(intents.map(|(order_id, _)| order_id.as_str()));
    let due = observation.shipments.iter();
    let due = due.filter(|(_, shipment)| shipment.is_due);
    orders.extend(due.map(|(order_id, _)| order_id.as_str()));
    orders
}

/// Whether a service that handles the record has not read it yet.
fn is_unread(observation: &Observation, record: &Record) -> bool {
    let Some(envelope) = &record.envelope else {
        return false;
    };
    let identity = (envelope.source.clone(), envelope.id.clone());
    let mut subscriptions = SUBSCRIPTIONS.iter();
    subscriptions.any(|subscription| {
        let service = subscription.service;
        let mailbox = observation.mailboxes.get(service);
        subscription.handles(&record.topic, &envelope.kind)
            && record.offset >= observation.log.committed(service, record.partition)
            && mailbox.is_some_and(|mailbox| !mailbox.processed.contains(&identity))
    })
}
