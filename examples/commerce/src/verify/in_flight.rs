//! Which orders something is still to happen for.

use std::collections::HashSet;

use commerce_contracts::SUBSCRIPTIONS;

use super::picture::Picture;

/// Orders with a message in an outbox, a record that somebody has yet to handle, something to be asked at the
/// provider, or a shipment that is due.
pub(crate) fn orders(picture: &Picture) -> HashSet<&str> {
    let mut orders = HashSet::new();
    for journal in picture.journals.values() {
        orders.extend(
            journal
                .outbox
                .iter()
                .filter_map(|row| row.order_id.as_deref()),
        );
    }
    for record in &picture.log.records {
        let (Some(order_id), Some(envelope)) = (&record.order_id, &record.envelope) else {
            continue;
        };
        let identity = (envelope.source.clone(), envelope.id.clone());
        let waits = SUBSCRIPTIONS.iter().any(|subscription| {
            let handles =
                subscription.topic == record.topic && subscription.kinds.contains(&&*envelope.kind);
            handles
                && record.offset
                    >= picture
                        .log
                        .committed(subscription.service, record.partition)
                && picture
                    .journals
                    .get(subscription.service)
                    .is_none_or(|journal| !journal.marks.contains(&identity))
        });
        if waits {
            orders.insert(order_id.as_str());
        }
    }
    let intents = picture
        .payments
        .iter()
        .filter(|(_, payment)| payment.has_intent);
    orders.extend(intents.map(|(order_id, _)| order_id.as_str()));
    let due = picture
        .shipments
        .iter()
        .filter(|(_, shipment)| shipment.is_due);
    orders.extend(due.map(|(order_id, _)| order_id.as_str()));
    orders
}
