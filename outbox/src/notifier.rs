//! How a relay in the same process hears of new rows without polling for them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

/// Armed by every enqueue, rung after a commit by those who care for the last milliseconds.
///
/// The caller's own `commit()` tells nobody. So an armed relay polls after 1, 2, 4 … 50 ms until it finds rows: an
/// empty poll costs some 50 µs, a slow poll alone would cost half a second of latency.
#[derive(Default, Debug)]
pub struct Notifier {
    armed: AtomicBool,
    arming: Notify,
    ringing: Notify,
}

/// First and longest step of the ladder, and how long an armed relay goes on climbing before it deems the
/// transaction rolled back and falls back to its slow poll.
const FIRST_STEP: Duration = Duration::from_millis(1);
const LAST_STEP: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);

impl Notifier {
    /// Something was enqueued in a transaction that is not committed yet.
    pub fn arm(&self) {
        // Most enqueues find it armed; they touch nothing that other threads write.
        if !self.armed.load(Ordering::Acquire) && !self.armed.swap(true, Ordering::AcqRel) {
            self.arming.notify_one();
        }
    }

    /// A transaction that enqueued something was committed.
    pub fn ring(&self) {
        self.ringing.notify_one();
    }
}

/// A relay's side of the notifier: which step of the ladder it stands on.
#[derive(Debug)]
pub(crate) struct Ladder {
    step: Option<Duration>,
    climbed: Duration,
}

impl Ladder {
    pub(crate) const fn new() -> Self {
        Self {
            step: None,
            climbed: Duration::ZERO,
        }
    }

    /// Call before looking for rows: what is enqueued from here on arms the bell again.
    pub(crate) fn before_looking(&mut self, bell: &Notifier) {
        if bell.armed.swap(false, Ordering::AcqRel) {
            self.step = Some(FIRST_STEP);
            self.climbed = Duration::ZERO;
        }
    }

    /// Rows were found: the ladder has done its work.
    pub(crate) const fn found(&mut self) {
        self.step = None;
    }

    /// Waits until it is worth looking again, `longest` at most.
    ///
    /// Cancel safe: a ring that was not waited for is kept.
    pub(crate) async fn wait(&mut self, bell: &Notifier, longest: Duration) {
        match self.step {
            Some(step) => {
                tokio::select! {
                    biased;
                    () = bell.ringing.notified() => {}
                    () = tokio::time::sleep(step.min(longest)) => {
                        self.climbed += step;
                        self.step = (self.climbed < PATIENCE).then(|| (step * 2).min(LAST_STEP));
                    }
                }
            }
            None => {
                tokio::select! {
                    biased;
                    () = bell.ringing.notified() => {}
                    () = bell.arming.notified() => {}
                    () = tokio::time::sleep(longest) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[expect(clippy::disallowed_methods, reason = "paused tokio time")]
    fn now() -> Instant {
        Instant::now()
    }

    const SLOW: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_armed_relay_climbs_the_ladder_until_it_finds_rows() {
        let (bell, mut ladder) = (Notifier::default(), Ladder::new());
        bell.arm();
        let start = now();
        let mut polls = Vec::new();
        for _ in 0..8 {
            ladder.before_looking(&bell);
            ladder.wait(&bell, SLOW).await;
            polls.push(start.elapsed().as_millis());
        }
        assert_eq!(polls, [1, 3, 7, 15, 31, 63, 113, 163]);
        ladder.found();
        ladder.wait(&bell, SLOW).await;
        // The permit that arm() left wakes the first slow wait at once; the next one is slow.
        ladder.wait(&bell, SLOW).await;
        assert_eq!(start.elapsed().as_millis(), 1163);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ring_ends_any_wait_and_is_kept_for_the_next_one() {
        let (bell, mut ladder) = (Notifier::default(), Ladder::new());
        let start = now();
        bell.ring();
        ladder.wait(&bell, SLOW).await;
        tokio::join!(ladder.wait(&bell, SLOW), async { bell.ring() });
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_transaction_that_never_commits_does_not_keep_the_relay_busy_for_ever() {
        let (bell, mut ladder) = (Notifier::default(), Ladder::new());
        bell.arm();
        ladder.before_looking(&bell);
        let start = now();
        while ladder.step.is_some() {
            ladder.wait(&bell, SLOW).await;
        }
        assert!(start.elapsed() < PATIENCE + LAST_STEP);
    }
}
