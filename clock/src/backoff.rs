//! How long to wait before the next attempt.

use std::time::Duration;

use crate::IdGenerator;

/// Exponential backoff with full jitter over its upper half.
///
/// The n-th delay is drawn from `[d/2, d]` with `d = min(initial · 2ⁿ, max)`: it grows, it has a
/// bound, and many clients that failed together do not come back together. See "Exponential Backoff
/// And Jitter" (Brooker, 2015); the lower half is kept so that a delay is never close to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
}

impl Backoff {
    /// Starts at `initial` and doubles up to `max`.
    #[must_use]
    pub const fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max }
    }

    /// The delay before attempt number `attempt + 1`, where `attempt` attempts (from 0) have been
    /// retried.
    #[must_use]
    pub fn delay(&self, attempt: u32, ids: &(impl IdGenerator + ?Sized)) -> Duration {
        let doubled = 2u32
            .checked_pow(attempt)
            .and_then(|factor| self.initial.checked_mul(factor));
        let full = doubled.unwrap_or(self.max).min(self.max);
        let half = full / 2;
        let spread = u64::try_from(full.saturating_sub(half).as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(match spread {
            0 => 0,
            _ => ids.random() % spread.saturating_add(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededIds;
    use proptest::prelude::*;

    fn duration() -> impl Strategy<Value = Duration> {
        let any = (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n));
        prop_oneof![
            any,
            Just(Duration::ZERO),
            Just(Duration::from_nanos(1)),
            Just(Duration::MAX)
        ]
    }

    proptest! {
        #[test]
        fn any_durations_make_a_delay(
            initial in duration(), max in duration(), attempt in any::<u32>(), seed in any::<u64>(),
        ) {
            let delay = Backoff::new(initial, max).delay(attempt, &SeededIds::new(seed));
            prop_assert!(delay <= max);
            prop_assert!(delay >= initial.min(max) / 2);
        }

        #[test]
        fn delay_lies_in_the_upper_half_of_its_step(attempt in 0..200u32, seed in any::<u64>()) {
            let (initial, max) = (Duration::from_millis(10), Duration::from_secs(30));
            let delay = Backoff::new(initial, max).delay(attempt, &SeededIds::new(seed));
            let full = initial.saturating_mul(2u32.saturating_pow(attempt)).min(max);
            prop_assert!(delay >= full / 2 && delay <= full, "{delay:?} outside {full:?}");
        }
    }
}
