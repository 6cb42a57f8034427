//! I11: a customer is told of what happened, once per channel. The table's key holds one row per
//! event and channel; here each row has its event.

use std::collections::HashSet;

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I11",
        "one notification per event and channel, none without",
        "notifications",
    );
    let records = observation.log.records.iter();
    let logged = records.filter_map(|record| record.envelope.as_ref());
    let letters = observation.mailboxes.values();
    let letters = letters.flat_map(|mailbox| &mailbox.letters);
    // An operator may have made a message of an unreadable record.
    let mended = letters.filter_map(|letter| letter.event_id.as_deref());
    let events: HashSet<&str> = logged.map(|it| &*it.id).chain(mended).collect();
    for (event_id, channel, order_id) in &observation.notifications {
        finding.checked += 1;
        if !events.contains(&**event_id) {
            finding.offends(format!(
                "the {channel} about order {order_id} tells of event {event_id}, which is not in the log"
            ));
        }
    }
    finding
}
