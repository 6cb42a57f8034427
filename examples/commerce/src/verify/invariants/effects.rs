//! I5: each handled message has exactly one effect and a processed record.

use std::collections::{HashMap, HashSet};

use commerce_contracts::SUBSCRIPTIONS;

use super::super::{finding::Finding, observation::Observation};

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new("I5", "each handled message had its effect once", "effects");
    for (service, journal) in &observation.journals {
        let mut processed: HashSet<&str> = journal.processed.iter().map(|(_, id)| &**id).collect();
        // An operator may have made a message of an unreadable record.
        let ids_of = |replayed: bool| {
            let letters = journal.letters.iter();
            letters
                .filter(move |letter| letter.is_replayed() == replayed)
                .filter_map(|letter| letter.event_id.as_deref())
        };
        processed.extend(ids_of(true));
        let unhandled: HashSet<&str> = ids_of(false).collect();
        let mut done: HashMap<&str, u32> = HashMap::new();
        for (effect, event_id) in &journal.effects {
            finding.checked += 1;
            let times = done.entry(event_id).or_default();
            *times += 1;
            if *times > 1 {
                finding.offends(format!(
                    "{service}: event {event_id} had {times} effects, one of them {effect}"
                ));
            }
            if !processed.contains(&**event_id) {
                finding.offends(format!(
                    "{service}: effect {effect} of event {event_id}, which has no processed record"
                ));
            }
        }
        let envelopes = observation.log.records.iter().filter_map(|record| {
            let envelope = record.envelope.as_ref()?;
            let handled = SUBSCRIPTIONS.iter().any(|subscription| {
                subscription.service == *service
                    && subscription.topic == record.topic
                    && subscription.kinds.contains(&&*envelope.kind)
            });
            handled.then_some(envelope)
        });
        for envelope in envelopes {
            let id = &*envelope.id;
            if processed.contains(id) && !done.contains_key(id) && !unhandled.contains(id) {
                finding.offends(format!(
                    "{service}: {} {} has a processed record and no effect",
                    envelope.kind, envelope.id
                ));
            }
        }
    }
    finding
}
