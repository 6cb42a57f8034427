//! Telling engines that a transaction was committed.
//!
//! A relay in the same process does not have to wait for its next poll: the outbox registers a
//! [`CommitListener`] with the `Database` when it is opened, and
//! [`Transactions::commit`](crate::Transactions::commit) calls it. A listener learns of commits
//! through the handle it was registered with and its clones, in this process only. It is a hint: a
//! commit through a pool of the application's own calls no listener, so engines poll as well.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

/// Learns of commits.
pub trait CommitListener: Send + Sync {
    /// A transaction was committed, or may have been.
    ///
    /// # Behaviour
    /// - Called on the committing task, after the database answered. Return at once: wake a task,
    ///   do no work here.
    fn committed(&self);
}

/// The listeners of one database handle and its clones. For authors of databases; see
/// [`CommitListener`].
#[derive(Default)]
pub struct CommitListeners {
    any: AtomicBool,
    /// Shared, so that a commit calls them without the lock.
    listeners: Mutex<Arc<[Weak<dyn CommitListener>]>>,
}

impl CommitListeners {
    /// No listeners.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a listener. It is forgotten once its last `Arc` is dropped.
    pub fn add(&self, listener: Weak<dyn CommitListener>) {
        self.replace(Some(listener));
    }

    /// Calls every listener that lives. Without listeners this is one atomic load.
    pub fn committed(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let listeners = {
            let listeners = self.listeners.lock();
            Arc::clone(&listeners.unwrap_or_else(PoisonError::into_inner))
        };
        let mut dropped = false;
        for listener in &*listeners {
            match listener.upgrade() {
                Some(listener) => listener.committed(),
                None => dropped = true,
            }
        }
        if dropped {
            self.replace(None);
        }
    }

    /// Forgets the dropped listeners and takes in a new one.
    fn replace(&self, new: Option<Weak<dyn CommitListener>>) {
        let listeners = self.listeners.lock();
        let mut listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        let living = listeners.iter().filter(|old| old.strong_count() > 0);
        *listeners = living.cloned().chain(new).collect();
        self.any.store(!listeners.is_empty(), Ordering::Release);
    }
}

impl fmt::Debug for CommitListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners = self.listeners.lock();
        let count = listeners.unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("CommitListeners")
            .field("count", &count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl CommitListener for Counter {
        fn committed(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn listen(listeners: &CommitListeners) -> Arc<Counter> {
        let counter = Arc::<Counter>::default();
        let listener: Arc<dyn CommitListener> = Arc::<Counter>::clone(&counter);
        listeners.add(Arc::downgrade(&listener));
        counter
    }

    #[test]
    fn every_listener_is_called_until_it_is_dropped() {
        let listeners = CommitListeners::new();
        listeners.committed();
        let (first, second) = (listen(&listeners), listen(&listeners));
        listeners.committed();
        drop(first);
        listeners.committed();
        assert_eq!(second.0.load(Ordering::Relaxed), 2);
        assert_eq!(listeners.listeners.lock().unwrap().len(), 1);
        drop(second);
        listeners.committed();
        assert_eq!(listeners.listeners.lock().unwrap().len(), 0);
        assert!(!listeners.any.load(Ordering::Relaxed));
    }
}
