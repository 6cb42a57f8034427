//! What others see of a running relay.

use std::{
    fmt, panic,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Activity, Error, Status};

/// A relay that runs: shows its state and shuts it down. Clones share the relay.
#[derive(Clone)]
pub struct RelayHandle {
    shared: Arc<Shared>,
}

impl RelayHandle {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    pub(super) fn adopt(&self, task: JoinHandle<Result<(), Error>>) {
        // The lock is free: the handle was just created.
        if let Ok(mut adopted) = self.shared.task.try_lock() {
            *adopted = Some(task);
        }
    }

    /// The relay's state.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Asks the relay to stop and waits until it has: it finishes the current round and gives up its
    /// shards.
    ///
    /// # Errors
    /// The error with which a spawned relay ended. Only the first caller gets it.
    ///
    /// # Panics
    /// If the relay has panicked; only for the first caller.
    ///
    /// # Cancel safety
    /// Cancel safe: the relay still stops.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.shared.shutdown.cancel();
        self.ended().await
    }

    /// Waits until the relay has ended, without asking it to.
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
                // The runtime is shutting down, and the relay with it.
                Err(_) => Ok(()),
            };
        }
        drop(task);
        self.shared.ended.cancelled().await;
        Ok(())
    }
}

impl fmt::Debug for RelayHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// What a relay and its handles share.
pub(super) struct Shared {
    status: Mutex<Status>,
    shutdown: CancellationToken,
    ended: CancellationToken,
    /// The task of a spawned relay, until its result is returned.
    task: tokio::sync::Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            status: Mutex::new(Status::new()),
            shutdown: CancellationToken::new(),
            ended: CancellationToken::new(),
            task: tokio::sync::Mutex::default(),
        }
    }
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        self.with_status(|status| status.clone())
    }

    pub(super) fn with_status<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        // Every change is complete: a panic elsewhere cannot have left half of one.
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn shutdown_requested(&self) {
        self.shutdown.cancelled().await;
    }
}

/// Dropped with the relay: shows that it has ended, whether it returned or was dropped.
pub(super) struct Ending {
    shared: Arc<Shared>,
}

impl Ending {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.with_status(|status| {
            status.activity = Activity::Stopped;
            status.shards = 0;
        });
        self.shared.ended.cancel();
    }
}
