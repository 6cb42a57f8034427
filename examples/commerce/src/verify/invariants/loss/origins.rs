//! What is in the log was emitted for a reason that a row tells.

use std::collections::HashSet;

use super::super::super::{
    finding::Finding,
    log::{BY_VERSION, Envelope, Record},
    observation::Observation,
};

pub(super) fn check(observation: &Observation, finding: &mut Finding) {
    let records = observation.log.records.iter();
    let ids: HashSet<&str> = records
        .filter_map(|record| Some(&*record.envelope.as_ref()?.id))
        .collect();
    // An operator may have made a message of an unreadable record.
    let mailboxes = observation.mailboxes.values();
    let letters = mailboxes.flat_map(|mailbox| &mailbox.letters);
    let mended = letters.filter_map(|letter| letter.event_id.as_deref());
    let ids: HashSet<&str> = ids.into_iter().chain(mended).collect();
    for record in &observation.log.records {
        if let Some(envelope) = &record.envelope
            && let Some(wrong) = wrong(observation, record, envelope, &ids)
        {
            finding.offends(format!(
                "{} {} is in the log, and {wrong}",
                envelope.kind, envelope.id
            ));
        }
    }
}

fn wrong(
    observation: &Observation,
    record: &Record,
    envelope: &Envelope,
    ids: &HashSet<&str>,
) -> Option<String> {
    if BY_VERSION.contains(&&*record.topic) {
        return None; // `versions` compares them with their rows
    }
    let order_id = record.order_id.as_deref().unwrap_or("?");
    let Some(order) = observation.orders.get(order_id) else {
        return Some(format!("order {order_id} does not exist"));
    };
    if let Some(command) = envelope.command() {
        // The run of an order that has ended may have been pruned.
        let is_sent = match observation.runs.get(command.run.as_str()) {
            Some(run) => run.sent.contains(&envelope.id),
            None => order.is_terminal(),
        };
        return (!is_sent).then(|| "no saga has sent it".to_owned());
    }
    if let Some(command) = envelope.answers() {
        let command = command.to_string();
        return (!ids.contains(&*command)).then(|| format!("command {command} is not"));
    }
    let told = super::emitted::TOLD.iter();
    let mut events = told.filter(|(_, kind)| *kind == envelope.kind).peekable();
    let is_missing = events.peek().is_some() && !events.any(|(event, _)| order.has(event));
    is_missing.then(|| format!("order {order_id} does not say so"))
}
