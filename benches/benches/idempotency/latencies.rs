//! How long single operations take.

use std::cell::RefCell;

use hdrhistogram::Histogram;
use mainstay_benches::Stopwatch;

/// Times of one side's operations.
pub(crate) struct Latencies(RefCell<Histogram<u64>>);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(RefCell::new(Histogram::new(3).unwrap()))
    }

    /// Does `work`, and writes down how long it took.
    pub(crate) async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        let stopwatch = Stopwatch::start();
        let output = work.await;
        let micros = u64::try_from(stopwatch.stop().wall.as_micros()).unwrap();
        self.0.borrow_mut().record(micros).unwrap();
        output
    }

    /// Prints median and 99th percentile.
    #[expect(clippy::print_stdout, reason = "a bench prints what it finds")]
    pub(crate) fn print(&self, name: &str) {
        let times = self.0.borrow();
        let at = |quantile| times.value_at_quantile(quantile);
        println!(
            "  {name:<30} p50 {} µs, p99 {} µs, of {}",
            at(0.5),
            at(0.99),
            times.len()
        );
    }
}
