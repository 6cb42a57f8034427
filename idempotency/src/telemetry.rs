//! Metrics.

use crate::Settled;

/// A request that made its effect.
pub(crate) fn fresh() {
    count("fresh");
}

/// A request with nothing to do.
pub(crate) fn settled(settled: &Settled) {
    count(match settled {
        Settled::Done(_) => "replayed",
        Settled::Running { .. } => "running",
        Settled::Mismatch => "mismatch",
    });
}

fn count(outcome: &'static str) {
    metrics::counter!("mainstay_idempotency_requests", "outcome" => outcome).increment(1);
}
