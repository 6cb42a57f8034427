//! A point on the suspend-aware monotonic clock, and deadline arithmetic.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// A point in time of [`Clock::monotonic`](crate::Clock::monotonic).
///
/// It is a plain number of microseconds, so that it can be written to a SQLite row and compared by
/// another process of the same boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The point `since_origin` after the clock's origin.
    #[must_use]
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// Microseconds since the origin, as stored in tables; saturates at `i64::MAX` (292,000 years).
    #[must_use]
    pub fn as_micros(self) -> i64 {
        i64::try_from(self.0.as_micros()).unwrap_or(i64::MAX)
    }

    /// Reads back what [`as_micros`](Self::as_micros) wrote; a negative number is the origin.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Time left until this deadline at `now`; zero once it has passed.
    #[must_use]
    pub fn remaining_at(self, now: Self) -> Duration {
        self.0.saturating_sub(now.0)
    }

    /// Whether this deadline has passed at `now`.
    #[must_use]
    pub fn has_passed_at(self, now: Self) -> bool {
        now >= self
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    /// Saturates: a deadline too far away to represent never passes.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

impl Sub for Monotonic {
    type Output = Duration;

    /// Time from `earlier` to `self`; zero if `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_deadline_has_passed_exactly_when_nothing_remains(now in any::<u32>(), deadline in any::<u32>()) {
            let (now, deadline) = (Monotonic::from_micros(now.into()), Monotonic::from_micros(deadline.into()));
            prop_assert_eq!(deadline.has_passed_at(now), deadline.remaining_at(now).is_zero());
        }

        #[test]
        fn stored_micros_read_back_as_the_same_point(micros in 0..i64::MAX) {
            prop_assert_eq!(Monotonic::from_micros(micros).as_micros(), micros);
        }

        #[test]
        fn the_longest_duration_is_a_deadline_that_never_passes(start in any::<u64>(), later in any::<u32>()) {
            let start = Monotonic::from_micros(start.cast_signed());
            let never = start + Duration::MAX;
            prop_assert!(!never.has_passed_at(start + Duration::from_secs(later.into())));
            prop_assert_eq!(never.as_micros(), i64::MAX);
            prop_assert_eq!(start - never, Duration::ZERO);
        }

        #[test]
        fn adding_never_goes_back(start in any::<u64>(), step in any::<u64>()) {
            let start = Monotonic::from_origin(Duration::from_nanos(start));
            prop_assert!(start + Duration::from_secs(step) >= start);
        }
    }
}
