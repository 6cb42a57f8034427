//! Metrics and spans; the crate page lists them.

use std::error::Error as StdError;

use mainstay_messaging::Group;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tracing::Span;

use super::outcome::Cause;
use crate::handlers::Call;

/// The metrics of one run, looked up once.
pub(super) struct Meters {
    pub(super) handled: Counter,
    pub(super) duplicates: Counter,
    pub(super) unregistered: Counter,
    pub(super) parked: Counter,
    pub(super) interrupted: Counter,
    pub(super) forgotten: Counter,
    pub(super) batch: Histogram,
    pub(super) transaction: Histogram,
    pub(super) stopped: Gauge,
    pub(super) in_flight: Gauge,
    group: Group,
}

impl Meters {
    pub(super) fn new(group: &Group) -> Self {
        let name = || group.to_string();
        let messages = |outcome: &'static str| counter!("mainstay_inbox_messages", "consumer" => name(), "outcome" => outcome);
        Self {
            handled: messages("handled"),
            duplicates: messages("duplicate"),
            unregistered: messages("unregistered"),
            parked: messages("parked"),
            interrupted: counter!("mainstay_inbox_interruptions", "consumer" => name()),
            forgotten: counter!("mainstay_inbox_processed_pruned", "consumer" => name()),
            batch: histogram!("mainstay_inbox_batch_messages", "consumer" => name()),
            transaction: histogram!("mainstay_inbox_transaction_seconds", "consumer" => name()),
            stopped: gauge!("mainstay_inbox_blocked_keys", "consumer" => name()),
            in_flight: gauge!("mainstay_inbox_in_flight_messages", "consumer" => name()),
            group: group.clone(),
        }
    }

    /// Failures are rare: looked up each time.
    pub(super) fn failed(&self, cause: Cause) {
        let cause = match cause {
            Cause::Unreadable => "unreadable",
            Cause::Permanent => "permanent",
            Cause::Retryable => "retryable",
            Cause::Panicked => "panicked",
            Cause::Late => "deadline",
        };
        counter!("mainstay_inbox_failures", "consumer" => self.group.to_string(), "cause" => cause)
            .increment(1);
    }
}

/// The span of one call, with OpenTelemetry's names. Of a batch it names the first message and their number.
pub(super) fn span_of(group: &Group, calls: &[Call]) -> Span {
    let Some(Call {
        message, position, ..
    }) = calls.first()
    else {
        return Span::none();
    };
    tracing::info_span!(
        "process",
        otel.kind = "consumer",
        messaging.operation.type = "process",
        messaging.consumer.group.name = group.as_str(),
        messaging.destination.name = message.topic.as_str(),
        messaging.destination.partition.id = position.partition.number,
        messaging.message.offset = position.offset,
        messaging.message.id = message.id.as_str(),
        messaging.message.kind = message.kind.as_str(),
        messaging.batch.message_count = calls.len(),
        traceparent = message.traceparent.as_deref(),
    )
}

/// An error and its sources in one line.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        // Drivers repeat what is below them.
        if !line.ends_with(&more) {
            line.push_str(": ");
            line.push_str(&more);
        }
        next = error.source();
    }
    line
}
