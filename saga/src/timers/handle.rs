//! What others see of running timers.

use std::{
    fmt, panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Timers at one moment.
#[derive(Clone, Default, Debug, Serialize)]
#[non_exhaustive]
pub struct TimersStatus {
    /// Whether they run.
    pub running: bool,
    /// Runs that were due and have gone on.
    pub fired: u64,
    /// Ended runs that were deleted.
    pub pruned: u64,
    /// Why the last round failed; none since a round has succeeded.
    pub last_error: Option<Arc<str>>,
}

/// Timers that run: shows their status and shuts them down. Clones share them.
#[derive(Clone)]
pub struct TimersHandle {
    shared: Arc<Shared>,
}

impl TimersHandle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn adopt(&self, task: JoinHandle<()>) {
        // The handle has no clones yet, so the lock is free.
        if let Ok(mut adopted) = self.shared.task.try_lock() {
            *adopted = Some(task);
        }
    }

    /// What they are doing now.
    #[must_use]
    pub fn status(&self) -> TimersStatus {
        self.shared.lock().clone()
    }

    /// Asks them to stop, and waits until they have finished what they are at.
    ///
    /// # Panics
    /// If the task has panicked; only for the first caller.
    ///
    /// # Cancel safety
    /// Cancel safe: they still stop.
    pub async fn shutdown(&self) {
        self.shared.shutdown.cancel();
        let mut task = self.shared.task.lock().await;
        if let Some(running) = task.as_mut() {
            let ended = running.await;
            *task = None;
            if let Err(error) = ended
                && error.is_panic()
            {
                panic::resume_unwind(error.into_panic());
            }
            return;
        }
        drop(task);
        self.shared.ended.cancelled().await;
    }
}

impl fmt::Debug for TimersHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimersHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// What timers and their handles share.
#[derive(Default)]
pub(super) struct Shared {
    status: Mutex<TimersStatus>,
    pub(super) shutdown: CancellationToken,
    ended: CancellationToken,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    pub(super) fn update(&self, change: impl FnOnce(&mut TimersStatus)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, TimersStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped with the timers: shows that they have ended, whether they returned or were dropped.
#[derive(Default)]
pub(super) struct Ending {
    shared: Arc<Shared>,
}

impl Ending {
    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.update(|status| status.running = false);
        self.shared.ended.cancel();
    }
}
