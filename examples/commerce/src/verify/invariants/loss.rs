//! I6: no message is lost, and the log holds only what was emitted.

mod emitted;
mod gaps;
mod handled;
mod origins;
mod versions;

use super::super::{finding::Finding, observation::Observation};
use emitted::Emitted;

/// How long a message may wait in an outbox, in microseconds.
const LONGEST_WAIT: i64 = 60_000_000;

pub(super) fn check(observation: &Observation) -> Finding {
    let mut finding = Finding::new(
        "I6",
        "no message lost: emitted, in the log, handled",
        "messages",
    );
    finding.checked = observation.log.records.len();
    let emitted = Emitted::of(observation);
    emitted.check(observation, &mut finding);
    origins::check(observation, &mut finding);
    versions::check(observation, &mut finding);
    overdue(observation, &mut finding);
    handled::check(observation, &mut finding);
    gaps::check(observation, &mut finding);
    finding
}

fn overdue(observation: &Observation, finding: &mut Finding) {
    for (service, mailbox) in &observation.mailboxes {
        for row in mailbox.outbox.iter().filter(|row| !row.deferred) {
            let envelope = row.envelope.as_ref();
            // A row that does not decode counts as overdue.
            let since = envelope.and_then(|envelope| envelope.occurred_at);
            if observation.as_of.saturating_sub(since.unwrap_or(0)) > LONGEST_WAIT {
                finding.offends(format!(
                    "{service}: message {} waits in the outbox for longer than 60 s",
                    envelope.map_or("?", |envelope| &envelope.id)
                ));
            }
        }
    }
}
