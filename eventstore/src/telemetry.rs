//! Counters, and what the log is told.

use crate::{Error, store::StreamName};

/// Events were appended, or refused.
pub(crate) fn appended(aggregate: &'static str, events: usize, written: &Result<(), Error>) {
    match written {
        Ok(()) => counted(aggregate, events, 0),
        Err(Error::Conflict { .. }) => counted(aggregate, 0, 1),
        Err(_) => {}
    }
}

/// So many events were appended, and so many streams had another version.
pub(crate) fn counted(aggregate: &'static str, events: usize, conflicts: usize) {
    if events > 0 {
        metrics::counter!("mainstay_eventstore_appended", "stream" => aggregate)
            .increment(events as u64);
    }
    if conflicts > 0 {
        metrics::counter!("mainstay_eventstore_conflicts", "stream" => aggregate)
            .increment(conflicts as u64);
    }
}

/// The state was folded from all events instead.
pub(crate) fn undecodable_snapshot(stream: &StreamName, shape: u32, error: &dyn std::error::Error) {
    tracing::warn!(
        %stream, shape, error = %error,
        "the snapshot does not decode, so the whole stream was read; raise the shape's number with each change of the state"
    );
}

/// A projection was given events.
pub(crate) fn rebuilt(projection: &'static str, events: usize) {
    metrics::counter!("mainstay_eventstore_rebuilt", "projection" => projection)
        .increment(events as u64);
}

/// A step of a rebuild failed, and is tried again.
pub(crate) fn rebuild_failed(projection: &'static str, error: &Error) {
    tracing::warn!(
        projection,
        error = error as &dyn std::error::Error,
        "a step of the rebuild failed and is tried again"
    );
}
