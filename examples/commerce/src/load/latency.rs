//! Latency percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// A histogram in microseconds.
#[derive(Debug)]
pub(crate) struct Latency(Option<Histogram<u64>>);

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Serialize, Debug)]
#[expect(clippy::struct_field_names, reason = "the unit belongs to the name")]
pub(crate) struct Percentiles {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        // Three digits from a microsecond to an hour; these bounds are always valid.
        Self(Histogram::new_with_bounds(1, 3_600_000_000, 3).ok())
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// None = nothing was measured.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let at = |quantile| {
            let micros = histogram.value_at_quantile(quantile);
            Duration::from_micros(micros).as_secs_f64() * 1e3
        };
        Some(Percentiles {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        })
    }
}
