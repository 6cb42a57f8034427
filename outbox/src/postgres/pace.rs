//! How often a process tells others of its commits.

use std::time::Duration;

use mainstay_clock::Monotonic;

/// Between two notifications, over time.
const INTERVAL: Duration = Duration::from_millis(5);

/// How many may follow each other at once, after a quiet time.
const BURST: u32 = 8;

/// Commits that come now and then are told at once, also when a few come together; a stream of them is told once per
/// interval. (The generic cell rate algorithm, as of ITU-T I.371.)
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the notification after the last one would be sent if they came at even intervals.
    even: Option<Monotonic>,
}

impl Pace {
    /// Something was told at this moment; answers with how long to say nothing now.
    pub(super) fn told(&mut self, now: Monotonic) -> Duration {
        let behind = self
            .even
            .map_or(Duration::ZERO, |even| even.remaining_at(now));
        let ahead = behind + INTERVAL;
        self.even = Some(now + ahead);
        ahead.saturating_sub(INTERVAL * (BURST - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Monotonic = Monotonic::from_origin(Duration::ZERO);

    #[test]
    fn commits_now_and_then_are_told_at_once() {
        let mut pace = Pace::default();
        for n in 0..1_000 {
            assert_eq!(pace.told(ZERO + INTERVAL * n), Duration::ZERO);
        }
    }

    #[test]
    fn a_few_together_are_told_at_once_and_a_stream_at_intervals() {
        let (mut pace, mut now, mut told) = (Pace::default(), ZERO, Vec::new());
        for _ in 0..20 {
            told.push(now);
            now = now + pace.told(now);
        }
        assert!(told[..BURST as usize].iter().all(|moment| *moment == ZERO));
        for pair in told[BURST as usize - 1..].windows(2) {
            assert_eq!(pair[1] - pair[0], INTERVAL);
        }
    }

    /// However they come, no more than a burst above one per interval.
    #[test]
    fn what_was_quiet_long_ago_is_not_made_up_for() {
        let (mut pace, mut now) = (Pace::default(), ZERO + Duration::from_secs(3_600));
        pace.told(ZERO);
        let (start, mut told) = (now, 0);
        while now - start < Duration::from_secs(1) {
            told += 1;
            now = now + pace.told(now);
        }
        assert_eq!(told, 200 + BURST - 1);
    }
}
