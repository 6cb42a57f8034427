//! The engine that sweeps.

use std::{
    fmt,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Sweep;
use crate::Error;

/// Sweeps a store of records in the background.
///
/// Each service may run one; several on one store share the work.
///
/// | setter | default |
/// |---|---|
/// | `interval` | 1 minute |
/// | `batch_size` | 500 |
#[derive(Debug)]
#[must_use = "a sweeper does nothing until it is run or spawned"]
pub struct Sweeper<S> {
    store: S,
    interval: Duration,
    batch_size: u32,
    shared: Arc<Mutex<Status>>,
}

/// What a sweeper has done.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Answers deleted since it started.
    pub swept: u64,
    /// Why the last step failed; `None` since a step has succeeded.
    pub last_error: Option<Arc<str>>,
}

impl<S: Sweep> Sweeper<S> {
    /// A sweeper of `store`.
    pub fn new(store: S) -> Self {
        Self {
            store,
            interval: Duration::from_secs(60),
            batch_size: 500,
            shared: Arc::default(),
        }
    }

    /// How long it rests once nothing is left to sweep; default 1 minute.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many answers one transaction deletes at most; default 500.
    pub const fn batch_size(mut self, batch_size: u32) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sweeps until `shutdown` completes, and finishes the step in progress. Failures are retried
    /// after the interval.
    ///
    /// # Cancel safety
    /// Dropping the future stops it at any point.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        loop {
            let is_done = self.step().await;
            // Others get their turn between two steps.
            let rest = if is_done {
                self.interval
            } else {
                Duration::ZERO
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Sweeps in a task of its own.
    pub fn spawn(self) -> SweeperHandle {
        let (shutdown, shared) = (CancellationToken::new(), Arc::clone(&self.shared));
        let task = tokio::spawn(self.run_until(shutdown.clone().cancelled_owned()));
        SweeperHandle {
            shared,
            shutdown,
            task,
        }
    }

    /// One step. Whether nothing more is to be done for now.
    async fn step(&self) -> bool {
        let swept = self.store.sweep(self.batch_size).await;
        let mut status = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match swept {
            Ok(swept) => {
                status.swept += swept;
                status.last_error = None;
                metrics::counter!("mainstay_idempotency_swept").increment(swept);
                swept < u64::from(self.batch_size)
            }
            Err(error) => {
                if status.last_error.is_none() {
                    tracing::warn!(%error, "expired idempotency records cannot be swept; retrying");
                }
                status.last_error = Some(error.to_string().into());
                true
            }
        }
    }
}

/// A sweeper that runs.
pub struct SweeperHandle {
    shared: Arc<Mutex<Status>>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl SweeperHandle {
    /// What it has done.
    #[must_use]
    pub fn status(&self) -> Status {
        let status = self.shared.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// [`Error::Refused`] if it panicked.
    ///
    /// # Cancel safety
    /// Cancel safe: it still stops.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.shutdown.cancel();
        let ended = (&mut self.task).await;
        ended.map_err(|error| Error::Refused(error.into()))
    }
}

impl fmt::Debug for SweeperHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweeperHandle")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
