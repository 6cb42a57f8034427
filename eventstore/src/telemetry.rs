//! Counters, and what the log is told.

use crate::{Error, store::StreamName};

/// Events were appended, or refused.
pub(crate) fn appended(aggregate: &'static str, events: usize, written: &Result<(), Error>) {
    match written {
        Ok(()) => metrics::counter!("mainstay_eventstore_appended", "stream" => aggregate)
            .increment(events as u64),
        Err(Error::Conflict { .. }) => {
            metrics::counter!("mainstay_eventstore_conflicts", "stream" => aggregate).increment(1);
        }
        Err(_) => {}
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
