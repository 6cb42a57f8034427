//! A clock that follows tokio's, so that paused time pauses everything.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::{BootId, Clock, Monotonic};

/// Follows tokio's clock: with `start_paused` or `tokio::time::pause` it stands still and moves
/// with `advance` and sleeps, so tests and simulations see leases end without waiting.
///
/// The wall clock and the monotonic clock move together, each from the origin given.
#[derive(Clone, Debug)]
pub struct TokioClock {
    started: Instant,
    wall_at_start: SystemTime,
    boot_id: BootId,
}

impl TokioClock {
    /// A clock whose wall time is `wall_at_start` now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is a clock")]
    pub fn starting_at(wall_at_start: SystemTime) -> Self {
        Self {
            started: Instant::now(),
            wall_at_start,
            boot_id: BootId::new("tokio"),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is a clock")]
    fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.started)
    }
}

impl Default for TokioClock {
    /// Starts at 2026-01-01T00:00:00Z: any fixed instant serves a test.
    fn default() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> SystemTime {
        // At the end of time it stands still.
        let now = self.wall_at_start.checked_add(self.elapsed());
        now.unwrap_or(self.wall_at_start)
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_origin(self.elapsed())
    }

    fn boot_id(&self) -> BootId {
        self.boot_id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_at_the_end_of_time_stands_still() {
        let mut last = SystemTime::UNIX_EPOCH;
        for shift in (0..64).rev() {
            let later = last.checked_add(Duration::from_secs(1 << shift));
            last = later.unwrap_or(last);
        }
        let clock = TokioClock::starting_at(last);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), last);
        assert_eq!(clock.monotonic(), Monotonic::from_micros(3_000_000));
    }

    #[tokio::test(start_paused = true)]
    async fn paused_time_moves_only_when_advanced() {
        let clock = TokioClock::default();
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now(), wall + Duration::from_secs(3));
        assert_eq!(clock.monotonic() - monotonic, Duration::from_secs(3));
    }
}
