//! How often a process notifies others of its commits.

use std::time::Duration;

use mainstay_clock::Monotonic;

/// Average interval between two notifications.
const INTERVAL: Duration = Duration::from_millis(5);

/// How many notifications may follow each other without delay after a quiet time.
const BURST: u32 = 8;

/// Limits the rate of notifications: a few are sent at once, a stream of them at intervals.
/// This is the generic cell rate algorithm of ITU-T I.371.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the next notification would be sent if all came at even intervals.
    even: Option<Monotonic>,
}

impl Pace {
    /// A notification was sent now. Returns how long to wait before the next one.
    pub(super) fn sent(&mut self, now: Monotonic) -> Duration {
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
    fn occasional_commits_are_announced_at_once() {
        let mut pace = Pace::default();
        for n in 0..1_000 {
            assert_eq!(pace.sent(ZERO + INTERVAL * n), Duration::ZERO);
        }
    }

    #[test]
    fn a_few_commits_are_announced_at_once_and_a_stream_at_intervals() {
        let (mut pace, mut now, mut sent) = (Pace::default(), ZERO, Vec::new());
        for _ in 0..20 {
            sent.push(now);
            now = now + pace.sent(now);
        }
        assert!(sent[..BURST as usize].iter().all(|moment| *moment == ZERO));
        for pair in sent[BURST as usize - 1..].windows(2) {
            assert_eq!(pair[1] - pair[0], INTERVAL);
        }
    }

    #[test]
    fn a_long_quiet_time_allows_one_burst_and_no_more() {
        let (mut pace, mut now) = (Pace::default(), ZERO + Duration::from_secs(3_600));
        pace.sent(ZERO);
        let (start, mut sent) = (now, 0);
        while now - start < Duration::from_secs(1) {
            sent += 1;
            now = now + pace.sent(now);
        }
        assert_eq!(sent, 200 + BURST - 1);
    }
}
