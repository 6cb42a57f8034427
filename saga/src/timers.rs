//! Acts when time has passed.

mod handle;
mod round;

use std::{fmt, sync::Arc, time::Duration};

use mainstay_outbox::Outbox;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Orchestrator, store::SagaStore};
use handle::Ending;

pub use handle::{TimersHandle, TimersStatus};

/// Acts on timeouts, retries and deadlines of the runs of one saga, and deletes old runs.
///
/// Any process that reaches the database may run it, and any number of them: what is due is one
/// indexed column. A run whose reply is being handled at the same time is skipped.
///
/// | setter | default |
/// |---|---|
/// | `poll_interval` | 500 ms |
/// | `batch_size` | 50 |
/// | `retention` | 30 days |
#[must_use = "timers do nothing before `run_until` or `spawn`"]
pub struct Timers<I, S: SagaStore, O> {
    orchestrator: Orchestrator<I, S, O>,
    settings: Settings,
    ending: Ending,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    poll_interval: Duration,
    batch_size: u32,
    retention: Duration,
}

impl<I, S, O> Timers<I, S, O>
where
    I: Serialize + DeserializeOwned + Send + Sync + 'static,
    S: SagaStore,
    O: Outbox<Connection = S::Connection>,
{
    pub(crate) fn new(orchestrator: Orchestrator<I, S, O>) -> Self {
        Self {
            orchestrator,
            settings: Settings {
                poll_interval: Duration::from_millis(500),
                batch_size: 50,
                retention: Duration::from_secs(30 * 24 * 60 * 60),
            },
            ending: Ending::default(),
        }
    }

    /// How long it waits before it looks again once nothing is due; default 500 ms. An attempt or a
    /// timeout is that much late at most.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// How many runs one transaction takes at most; default 50.
    pub fn batch_size(mut self, runs: u32) -> Self {
        self.settings.batch_size = runs.max(1);
        self
    }

    /// How long a run is kept after it has ended; default 30 days.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Runs until `shutdown` completes. Failures are retried, and shown by
    /// [`TimersStatus::last_error`].
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: what was begun is rolled back, and due again.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) {
        self.turn(shutdown).await;
    }

    /// Runs in a task of its own, until [`TimersHandle::shutdown`]. Dropping the handle leaves it
    /// running.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use = "the handle is needed to shut the timers down"]
    pub fn spawn(self) -> TimersHandle {
        let handle = self.handle();
        handle.adopt(tokio::spawn(self.run_until(std::future::pending())));
        handle
    }

    /// A handle that shows the status while [`run_until`](Self::run_until) runs.
    #[must_use]
    pub fn handle(&self) -> TimersHandle {
        TimersHandle::new(Arc::clone(self.ending.shared()))
    }
}

impl<I, S: SagaStore, O> fmt::Debug for Timers<I, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
