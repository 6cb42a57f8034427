//! Metrics and spans; the crate page lists them.

use mainstay_messaging::{Delivery, Group};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tracing::Span;

use super::outcome::Cause;
use crate::handlers::Call;

/// The metrics of one run.
pub(super) struct Meters {
    pub(super) handled: Counter,
    pub(super) duplicates: Counter,
    pub(super) unregistered: Counter,
    pub(super) held: Counter,
    pub(super) dead_lettered: Counter,
    pub(super) interrupted: Counter,
    pub(super) pruned: Counter,
    pub(super) batch: Histogram,
    pub(super) transaction: Histogram,
    pub(super) blocked_keys: Gauge,
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
            held: messages("held"),
            dead_lettered: messages("dead_lettered"),
            interrupted: counter!("mainstay_inbox_interruptions", "consumer" => name()),
            pruned: counter!("mainstay_inbox_processed_pruned", "consumer" => name()),
            batch: histogram!("mainstay_inbox_batch_messages", "consumer" => name()),
            transaction: histogram!("mainstay_inbox_transaction_seconds", "consumer" => name()),
            blocked_keys: gauge!("mainstay_inbox_blocked_keys", "consumer" => name()),
            in_flight: gauge!("mainstay_inbox_in_flight_messages", "consumer" => name()),
            group: group.clone(),
        }
    }

    /// Failures are rare, so their counter is looked up each time.
    pub(super) fn failed(&self, cause: Cause) {
        let cause = match cause {
            Cause::Unreadable => "unreadable",
            Cause::UnknownKind => "unknown_kind",
            Cause::Permanent => "permanent",
            Cause::Retryable => "retryable",
            Cause::Panicked => "panicked",
            Cause::DeadlineExceeded => "deadline_exceeded",
        };
        counter!("mainstay_inbox_failures", "consumer" => self.group.to_string(), "cause" => cause)
            .increment(1);
    }
}

/// The span of one call, with OpenTelemetry's names. For a batch it names the first message and the
/// number of messages.
pub(super) fn span_of(group: &Group, calls: &[Call<'_>]) -> Span {
    let Some(Delivery { content, position }) = calls.first().map(|call| call.delivery) else {
        return Span::none();
    };
    let Some(message) = content.message() else {
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
