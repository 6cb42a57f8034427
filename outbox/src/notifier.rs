//! Tells a relay in the same process that there are new rows, so that it need not poll for them.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use mainstay_clock::{Clock, Monotonic, SystemClock};
use tokio::sync::Notify;

/// Wakes the relay of the same process. Every enqueue arms it; a commit notifies it.
///
/// A foreign commit, such as that of a service's own pool, notifies no relay. An armed relay therefore
/// polls after 1, 2, 4 … 50 ms until it finds rows. If a notification came with the last rows it found,
/// it polls every 50 ms: looking into open transactions finds nothing.
#[derive(Debug)]
pub struct Notifier {
    clock: Box<dyn Clock>,
    armed: AtomicBool,
    /// How many commits may still be that of the last enqueue.
    uncommitted: AtomicU8,
    /// When something was enqueued last, in microseconds of the clock.
    last_enqueue: AtomicI64,
    enqueued: Notify,
    notified: Notify,
    /// How many notifications there were.
    notifications: AtomicU64,
}

/// First and longest interval of the early polls after an enqueue.
const FIRST_INTERVAL: Duration = Duration::from_millis(1);
const LONGEST_INTERVAL: Duration = Duration::from_millis(50);

/// How long a transaction that enqueued something is expected to commit. After that, the relay
/// assumes a rollback and returns to its poll interval, and commits no longer notify it.
const PATIENCE: Duration = Duration::from_secs(30);

impl Notifier {
    /// A notifier that measures time by `clock`.
    #[must_use]
    pub fn new(clock: impl Clock) -> Self {
        Self {
            clock: Box::new(clock),
            armed: AtomicBool::new(false),
            uncommitted: AtomicU8::new(0),
            last_enqueue: AtomicI64::new(i64::MIN),
            enqueued: Notify::new(),
            notified: Notify::new(),
            notifications: AtomicU64::new(0),
        }
    }

    /// Call it when something was enqueued in a transaction that is not committed yet.
    pub fn arm(&self) {
        let now = self.clock.monotonic().as_micros();
        self.last_enqueue.store(now, Ordering::Release);
        // The commit before may be told of after this transaction has begun and enqueued.
        self.uncommitted.store(2, Ordering::Release);
        // Most enqueues find it armed already.
        if !self.armed.load(Ordering::Acquire) && !self.armed.swap(true, Ordering::AcqRel) {
            self.enqueued.notify_one();
        }
    }

    /// Call it when a transaction that enqueued something was committed, and not before: a relay takes it that
    /// whatever looks after the call finds the rows.
    pub fn notify(&self) {
        self.notifications.fetch_add(1, Ordering::AcqRel);
        self.notified.notify_one();
    }

    /// Call it after every commit of the database: notifies the relay if something was enqueued
    /// within the last 30 s. Returns whether it did.
    ///
    /// The database does not tell which transaction enqueued. Without the limit, a service that only
    /// consumes would wake its relay with every commit.
    pub fn committed(&self) -> bool {
        let last = self.last_enqueue.load(Ordering::Acquire);
        let expected =
            last != i64::MIN && self.clock.monotonic() - Monotonic::from_micros(last) <= PATIENCE;
        if expected {
            self.notify();
        }
        expected
    }

    /// As [`committed`](Self::committed), of a database where one transaction writes at a time: there, a
    /// commit that follows two others without an enqueue in between has nothing for the relay.
    pub fn committed_alone(&self) -> bool {
        let left =
            (self.uncommitted).fetch_update(Ordering::AcqRel, Ordering::Acquire, |commits| {
                commits.checked_sub(1)
            });
        left.is_ok() && self.committed()
    }
}

/// Measures time by the system's clock.
impl Default for Notifier {
    fn default() -> Self {
        Self::new(SystemClock::new())
    }
}

/// The relay's side of the notifier: the interval of its next early poll.
#[derive(Debug)]
pub(crate) struct EarlyPolls {
    interval: Option<Duration>,
    waited: Duration,
    /// How the last wait ended.
    ended_by: EndedBy,
    /// Where the intervals begin.
    first: Duration,
    /// How many notifications there were before the last look.
    seen: u64,
}

#[derive(Clone, Copy, Debug)]
enum EndedBy {
    Notification,
    EarlyPoll,
    Time,
}

impl EarlyPolls {
    /// How long a relay that does not [look on](Self::looks_on) waits for a notification.
    pub(crate) const REST: Duration = LONGEST_INTERVAL;

    pub(crate) const fn new() -> Self {
        Self {
            interval: None,
            waited: Duration::ZERO,
            ended_by: EndedBy::Time,
            first: FIRST_INTERVAL,
            seen: 0,
        }
    }

    /// Call it before looking for rows: later enqueues arm the notifier again.
    pub(crate) fn before_looking(&mut self, notifier: &Notifier) {
        self.seen = notifier.notifications.load(Ordering::Acquire);
        self.rearm(notifier);
    }

    fn rearm(&mut self, notifier: &Notifier) {
        if notifier.armed.swap(false, Ordering::AcqRel) {
            self.start();
        }
    }

    /// Whether to look again at once behind rows that were found. If a notification came with them,
    /// the next rows come with one, too, and all that were told of before the look are found.
    pub(crate) fn looks_on(&self, notifier: &Notifier) -> bool {
        !matches!(self.ended_by, EndedBy::Notification) || self.is_notified(notifier)
    }

    fn is_notified(&self, notifier: &Notifier) -> bool {
        notifier.notifications.load(Ordering::Acquire) != self.seen
    }

    const fn start(&mut self) {
        self.interval = Some(self.first);
        self.waited = Duration::ZERO;
    }

    /// Rows were found: the early polls end, and the next ones begin where these had to.
    pub(crate) const fn found(&mut self) {
        self.interval = None;
        match self.ended_by {
            EndedBy::Notification => self.first = LONGEST_INTERVAL,
            EndedBy::EarlyPoll => self.first = FIRST_INTERVAL,
            EndedBy::Time => {}
        }
    }

    /// Waits for a notification that came behind the last look.
    async fn notified(&self, notifier: &Notifier) {
        loop {
            notifier.notified.notified().await;
            if self.is_notified(notifier) {
                return;
            }
        }
    }

    /// Waits until it is worth looking again, at most `longest`.
    ///
    /// Cancel safe: a notification that was not waited for is kept.
    pub(crate) async fn wait(&mut self, notifier: &Notifier, longest: Duration) {
        while self.interval.is_none() {
            tokio::select! {
                biased;
                () = self.notified(notifier) => return self.ended_by = EndedBy::Notification,
                // Its transaction is still open, unless the relay has looked since.
                () = notifier.enqueued.notified() => self.rearm(notifier),
                () = tokio::time::sleep(longest) => return self.ended_by = EndedBy::Time,
            }
        }
        let interval = self.interval.unwrap_or(longest);
        tokio::select! {
            biased;
            () = self.notified(notifier) => self.ended_by = EndedBy::Notification,
            () = tokio::time::sleep(interval.min(longest)) => {
                self.ended_by = EndedBy::EarlyPoll;
                self.waited += interval;
                self.interval = (self.waited < PATIENCE).then(|| (interval * 2).min(LONGEST_INTERVAL));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_clock::TokioClock;
    use tokio::time::Instant;

    #[expect(clippy::disallowed_methods, reason = "paused tokio time")]
    fn now() -> Instant {
        Instant::now()
    }

    const POLL_INTERVAL: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_armed_relay_polls_early_until_it_finds_rows() {
        let (notifier, mut early) = (Notifier::default(), EarlyPolls::new());
        notifier.arm();
        let start = now();
        let mut polls = Vec::new();
        for _ in 0..8 {
            early.before_looking(&notifier);
            early.wait(&notifier, POLL_INTERVAL).await;
            polls.push(start.elapsed().as_millis());
        }
        assert_eq!(polls, [1, 3, 7, 15, 31, 63, 113, 163]);
        early.found();
        early.wait(&notifier, POLL_INTERVAL).await;
        assert_eq!(
            start.elapsed().as_millis(),
            1163,
            "nothing was enqueued since"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_whose_rows_come_with_notifications_looks_into_few_open_transactions() {
        let (notifier, mut early) = (Notifier::default(), EarlyPolls::new());
        notifier.notify();
        early.wait(&notifier, POLL_INTERVAL).await;
        early.found();
        let start = now();
        let mut poll = async || {
            notifier.arm();
            early.wait(&notifier, POLL_INTERVAL).await;
            early.found();
            start.elapsed().as_millis()
        };
        assert_eq!(poll().await, 50);
        // That one was committed without a notification: the next one may be, too.
        assert_eq!(poll().await, 51);
    }

    #[test]
    fn where_one_transaction_writes_at_a_time_a_commit_notifies_if_it_enqueued() {
        let notifier = Notifier::default();
        assert!(!notifier.committed_alone());
        notifier.arm();
        assert!(notifier.committed_alone());
        assert!(
            notifier.committed_alone(),
            "the first may have been an earlier one"
        );
        assert!(!notifier.committed_alone(), "it enqueued nothing");
    }

    #[test]
    fn a_commit_that_is_told_of_late_takes_no_notification_from_the_next() {
        let notifier = Notifier::default();
        notifier.arm(); // and its transaction commits
        notifier.arm(); // in the next one
        assert!(notifier.committed_alone(), "the first is told of");
        assert!(notifier.committed_alone(), "the second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_notification_ends_any_wait_and_is_kept_for_the_next_one() {
        let (notifier, mut early) = (Notifier::default(), EarlyPolls::new());
        let start = now();
        notifier.notify();
        early.wait(&notifier, POLL_INTERVAL).await;
        tokio::join!(early.wait(&notifier, POLL_INTERVAL), async {
            notifier.notify();
        });
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_notification_before_a_look_ends_no_wait_behind_it() {
        let (notifier, mut early) = (Notifier::default(), EarlyPolls::new());
        let start = now();
        notifier.notify();
        early.before_looking(&notifier);
        early.wait(&notifier, POLL_INTERVAL).await;
        assert_eq!(
            start.elapsed(),
            POLL_INTERVAL,
            "the look has found its rows"
        );
        notifier.notify();
        early.wait(&notifier, POLL_INTERVAL).await;
        assert_eq!(start.elapsed(), POLL_INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_transaction_that_never_commits_does_not_keep_the_relay_polling_early() {
        let (notifier, mut early) = (Notifier::default(), EarlyPolls::new());
        notifier.arm();
        early.before_looking(&notifier);
        let start = now();
        while early.interval.is_some() {
            early.wait(&notifier, POLL_INTERVAL).await;
        }
        assert!(start.elapsed() < PATIENCE + LONGEST_INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn commits_notify_only_for_a_while_after_an_enqueue() {
        let notifier = Notifier::new(TokioClock::default());
        assert!(!notifier.committed(), "nothing was ever enqueued");
        notifier.arm();
        assert!(notifier.committed());
        tokio::time::advance(PATIENCE).await;
        assert!(
            notifier.committed(),
            "of several transactions, each notifies"
        );
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!notifier.committed());
    }
}
