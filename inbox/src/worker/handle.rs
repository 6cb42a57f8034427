//! A worker that runs in a task.

use std::{
    fmt, panic,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{Error, Status};

/// A worker that runs in a task of its own. If the handle is dropped, the worker runs on.
#[must_use = "the handle shows the status, and shuts the worker down"]
pub struct WorkerHandle {
    status: Arc<Mutex<Status>>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl WorkerHandle {
    pub(super) const fn new(
        status: Arc<Mutex<Status>>,
        shutdown: CancellationToken,
        task: JoinHandle<Result<(), Error>>,
    ) -> Self {
        Self {
            status,
            shutdown,
            task,
        }
    }

    /// What the worker is doing now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Shuts the worker down and waits until it has drained, committed offsets and left its group.
    ///
    /// # Errors
    /// As [`Worker::run_until`](crate::Worker::run_until).
    ///
    /// # Panics
    /// If the worker has panicked.
    ///
    /// # Cancel safety
    /// If the future is dropped, the shutdown goes on, and nobody learns how it ended.
    pub async fn shutdown(self) -> Result<(), Error> {
        self.shutdown.cancel();
        ended(self.task.await)
    }

    /// Waits until the worker ends by itself, which only an error makes it do.
    ///
    /// # Errors
    /// As [`Worker::run_until`](crate::Worker::run_until).
    ///
    /// # Panics
    /// If the worker has panicked, or if it is polled again after it has answered.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn ended(&mut self) -> Result<(), Error> {
        ended((&mut self.task).await)
    }

    /// Ends the worker at once, like a crash: uncommitted messages are delivered again, and each effect is applied once.
    ///
    /// # Cancel safety
    /// If the future is dropped, the worker still ends.
    pub async fn abort(self) {
        self.task.abort();
        if let Err(error) = self.task.await {
            tracing::debug!(%error, "the worker was aborted");
        }
    }
}

fn ended(task: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    match task {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down and has dropped the task.
        Err(_) => Ok(()),
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
