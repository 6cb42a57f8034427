//! A number of messages that adapts to failures.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Up to how many messages are at stake together. A failure halves it; each time as many succeed,
/// it grows by an eighth.
///
/// If one message in *n* fails, it settles near *n* / 6: a failure undoes little, and the others
/// share what each transaction or savepoint costs.
#[derive(Debug)]
pub(super) struct AdaptiveSize {
    most: usize,
    /// In eighths of a message, so that small sizes do not grow in large steps.
    eighths: AtomicUsize,
}

const ONE: usize = 8;

impl AdaptiveSize {
    /// Starts at its most.
    pub(super) const fn up_to(most: usize) -> Self {
        Self {
            most,
            eighths: AtomicUsize::new(most.saturating_mul(ONE)),
        }
    }

    pub(super) fn get(&self) -> usize {
        (self.eighths.load(Relaxed) / ONE).clamp(1, self.most)
    }

    /// So many messages succeeded together.
    pub(super) fn succeeded(&self, messages: usize) {
        if messages >= self.get() {
            let eighths = self.eighths.load(Relaxed);
            self.set(eighths.saturating_add(eighths / ONE));
        }
    }

    /// So many messages were undone together. One that runs alone takes no others with it.
    pub(super) fn failed(&self, messages: usize) {
        if messages > 1 {
            self.set(self.eighths.load(Relaxed) / 2);
        }
    }

    /// The next ones must be at most so many.
    pub(super) fn lower_to(&self, messages: usize) {
        self.set(self.eighths.load(Relaxed).min(messages.saturating_mul(ONE)));
    }

    // Several transactions may overwrite each other's change: it is an estimate.
    fn set(&self, eighths: usize) {
        let most = self.most.saturating_mul(ONE);
        self.eighths.store(eighths.clamp(ONE, most), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs messages of which every `period`th fails, and returns how many had to run again for
    /// each that succeeded, and the messages per success.
    fn run(period: usize) -> (f64, f64) {
        let size = AdaptiveSize::up_to(100);
        let (mut calls, mut finished, mut undone, mut successes) = (0, 0, 0, 0);
        while calls < 100_000 {
            let planned = size.get();
            let failing = (1..=planned).find(|nth| (calls + nth) % period == 0);
            calls += failing.unwrap_or(planned);
            if let Some(nth) = failing {
                undone += nth - 1;
                size.failed(planned);
            } else {
                finished += planned;
                successes += 1;
                size.succeeded(planned);
            }
        }
        let ratio = |a: usize, b: usize| {
            f64::from(u32::try_from(a).unwrap()) / f64::from(u32::try_from(b).unwrap())
        };
        (ratio(undone, finished), ratio(finished, successes))
    }

    #[test]
    fn rare_failures_undo_little_and_leave_large_sizes() {
        let (undone, size) = run(100);
        assert!(undone < 0.15 && size > 8.0, "{undone} {size}");
    }

    #[test]
    fn frequent_failures_undo_next_to_nothing() {
        let (undone, _) = run(7);
        assert!(undone < 0.02, "{undone}");
    }

    #[test]
    fn without_failures_it_grows_back_to_its_most_and_no_further() {
        let size = AdaptiveSize::up_to(100);
        while size.get() > 1 {
            size.failed(size.get());
        }
        size.failed(1);
        let mut successes = 0;
        while size.get() < 100 {
            size.succeeded(size.get());
            successes += 1;
        }
        assert!(successes < 50, "{successes}");
        size.succeeded(100);
        assert_eq!(size.get(), 100);
        size.lower_to(7);
        size.succeeded(6);
        assert_eq!(size.get(), 7, "a smaller success shows nothing");
    }

    #[test]
    fn any_most_is_allowed() {
        assert_eq!(AdaptiveSize::up_to(1).get(), 1);
        let size = AdaptiveSize::up_to(usize::MAX);
        size.succeeded(usize::MAX);
        assert!(size.get() > usize::MAX / 16);
    }
}
