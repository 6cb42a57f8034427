//! Waking consumers that wait.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts notifications. Waiting tasks wake in the order of their waiting, so that a run follows
/// from its seed; a `watch` channel would choose at random.
#[derive(Default, Debug)]
pub(super) struct Notifier {
    count: AtomicU64,
    waiting: Notify,
}

impl Notifier {
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn notify(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.waiting.notify_waiters();
    }

    /// Waits for a notification after the first `seen`. Cancel safe.
    pub(super) async fn notified_since(&self, seen: u64) {
        // Registered before the count is read: no notification in between is missed.
        let notified = self.waiting.notified();
        if self.count() == seen {
            notified.await;
        }
    }
}
