//! What others see of a running replayer.

use std::{
    fmt, panic,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Status;
use crate::Error;

/// A replayer that runs: shows its status and shuts it down. Clones share the replayer.
#[derive(Clone)]
pub struct ReplayerHandle {
    shared: Arc<Shared>,
}

impl ReplayerHandle {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let shared = Arc::clone(shared);
        Self { shared }
    }

    pub(super) fn adopt(&self, task: JoinHandle<Result<(), Error>>) {
        // The handle has no clones yet, so the lock is free.
        if let Ok(mut adopted) = self.shared.task.try_lock() {
            *adopted = Some(task);
        }
    }

    /// What the replayer is doing now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.lock().clone()
    }

    /// Asks the replayer to stop, and waits until it has finished the messages that it is at.
    ///
    /// # Errors
    /// The error with which a spawned replayer ended. Only the first caller gets it.
    ///
    /// # Panics
    /// If the replayer has panicked; only for the first caller.
    ///
    /// # Cancel safety
    /// Cancel safe: the replayer still stops.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.shared.shutdown.cancel();
        let mut task = self.shared.task.lock().await;
        if let Some(running) = task.as_mut() {
            let ended = running.await;
            *task = None;
            return match ended {
                Ok(result) => result,
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                // The runtime is shutting down, and has dropped the replayer.
                Err(_) => Ok(()),
            };
        }
        drop(task);
        self.shared.ended.cancelled().await;
        Ok(())
    }
}

impl fmt::Debug for ReplayerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayerHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// What a replayer and its handles share.
#[derive(Default)]
pub(super) struct Shared {
    status: Mutex<Status>,
    pub(super) shutdown: CancellationToken,
    ended: CancellationToken,
    task: tokio::sync::Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

impl Shared {
    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped with the replayer: shows that it has ended, whether it returned or was dropped.
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
