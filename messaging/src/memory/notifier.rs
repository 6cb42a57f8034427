//! How consumers hear at once that there is something to look at.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A bell that counts. Who waits is woken in the order of waiting: a `watch` channel draws it anew each time, and no run would be
/// the same again.
#[derive(Default, Debug)]
pub(super) struct Notifier {
    rings: AtomicU64,
    waiting: Notify,
}

impl Notifier {
    pub(super) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }

    pub(super) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::AcqRel);
        self.waiting.notify_waiters();
    }

    /// Waits until it rings, unless it has since `heard`. Cancel safe.
    pub(super) async fn rung_since(&self, heard: u64) {
        // From here on a ring is not missed.
        let rung = self.waiting.notified();
        if self.rings() == heard {
            rung.await;
        }
    }
}
