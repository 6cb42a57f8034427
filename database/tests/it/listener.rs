//! A commit listener that counts.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mainstay_database::commits::CommitListener;

#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl CommitListener for Counter {
    fn committed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    pub(crate) fn commits(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Registers a counter with a database; it counts as long as it lives.
macro_rules! count_commits {
    ($database:expr) => {{
        let counter = std::sync::Arc::<crate::listener::Counter>::default();
        let listener = crate::listener::shared(&counter);
        $database.on_commit(std::sync::Arc::downgrade(&listener));
        counter
    }};
}
pub(crate) use count_commits;

pub(crate) fn shared(counter: &Arc<Counter>) -> Arc<dyn CommitListener> {
    Arc::<Counter>::clone(counter)
}
