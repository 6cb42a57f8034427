//! What others see of a running worker.

use std::{
    fmt, panic,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Error, Status};

/// A worker that runs: shows its status and shuts it down. Clones share the worker.
#[derive(Clone)]
pub struct WorkerHandle {
    shared: Arc<Shared>,
}

impl WorkerHandle {
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

    /// What the worker is doing now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Asks the worker to stop and waits until it has drained, committed offsets and left its
    /// group.
    ///
    /// # Errors
    /// The error with which a spawned worker ended. Only the first caller gets it.
    ///
    /// # Panics
    /// If the worker has panicked; only for the first caller.
    ///
    /// # Cancel safety
    /// Cancel safe: the worker still stops.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.shared.shutdown.cancel();
        self.ended().await
    }

    /// Waits until the worker has ended, without asking it to.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    ///
    /// # Panics
    /// As [`shutdown`](Self::shutdown).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ended(&self) -> Result<(), Error> {
        let mut task = self.shared.task.lock().await;
        if let Some(running) = task.as_mut() {
            let ended = running.await;
            *task = None;
            return match ended {
                Ok(result) => result,
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                // The runtime is shutting down, and has dropped the worker.
                Err(_) => Ok(()),
            };
        }
        drop(task);
        self.shared.ended.cancelled().await;
        Ok(())
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// What a worker and its handles share.
#[derive(Default)]
pub(super) struct Shared {
    status: Mutex<Status>,
    shutdown: CancellationToken,
    ended: CancellationToken,
    /// The task of a spawned worker, until a caller has taken its result.
    task: tokio::sync::Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        self.lock().clone()
    }

    pub(super) fn set_status(&self, status: Status) {
        *self.lock() = status;
    }

    pub(super) async fn shutdown_requested(&self) {
        self.shutdown.cancelled().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped with the worker: shows that it has ended, whether it returned or was dropped.
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
        self.shared.set_status(Status::default());
        self.shared.ended.cancel();
    }
}
