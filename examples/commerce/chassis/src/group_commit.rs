//! Group commit: requests that arrive during a commit share the next transaction.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// How often a group is tried; its clients wait meanwhile.
const ATTEMPTS: u32 = 5;
/// Pause between two attempts, multiplied by the number of attempts so far.
const PAUSE: Duration = Duration::from_millis(10);

/// Work that serves many requests in one transaction.
#[async_trait]
pub trait Batch: Send + Sync + 'static {
    /// A request.
    type Request: Send + Sync + 'static;
    /// The answer to a request.
    type Answer: Send + 'static;

    /// Serves all requests in one transaction and answers each, in order; or fails and changes
    /// nothing. It may be run again, even if the outcome of the commit is unknown.
    async fn run(&self, requests: &[Self::Request]) -> Result<Vec<Self::Answer>>;
}

/// The queue of a [`Batch`]. Clones are the same one.
pub struct GroupCommit<B: Batch> {
    queue: mpsc::Sender<Waiting<B>>,
}

struct Waiting<B: Batch> {
    request: B::Request,
    answer: oneshot::Sender<B::Answer>,
}

impl<B: Batch> GroupCommit<B> {
    /// A queue for `batch` with at most `limit` requests in a transaction, and the task that serves
    /// it. The task ends once all requests are answered, and either `shutdown` is cancelled or all
    /// clones are dropped.
    pub fn new(
        batch: B,
        limit: usize,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = Result<()>> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(limit);
        (Self { queue }, work(batch, waiting, limit, shutdown))
    }

    /// Submits a request, and waits for its answer, which comes after the commit.
    ///
    /// # Errors
    /// [`Error::Ended`]: the request was not served. [`Error::NotCommitted`]: it was not served, or the
    /// outcome is unknown.
    ///
    /// # Cancel safety
    /// If the future is dropped, the request may still be served.
    pub async fn submit(&self, request: B::Request) -> Result<B::Answer> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(Waiting { request, answer })
            .await
            .map_err(|_| Error::Ended)?;
        answered.await.map_err(|_| Error::NotCommitted)
    }
}

async fn work<B: Batch>(
    batch: B,
    mut waiting: mpsc::Receiver<Waiting<B>>,
    limit: usize,
    shutdown: CancellationToken,
) -> Result<()> {
    let mut taken = Vec::new();
    loop {
        let count = tokio::select! {
            biased;
            count = waiting.recv_many(&mut taken, limit) => count,
            () = shutdown.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        };
        if count == 0 {
            return Ok(());
        }
        let (requests, answers): (Vec<_>, Vec<_>) = taken
            .drain(..)
            .map(|waiting| (waiting.request, waiting.answer))
            .unzip();
        match persist(&batch, &requests).await {
            Ok(results) => {
                for (sender, result) in answers.into_iter().zip(results) {
                    // A client may have gone away; its request stays committed.
                    drop(sender.send(result));
                }
            }
            Err(error) => {
                // Dropping the senders gives each client `NotCommitted`.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a group of requests was not committed; its clients get 503"
                );
            }
        }
    }
}

/// Retries a conflict with another transaction: that one has ended.
async fn persist<B: Batch>(batch: &B, requests: &[B::Request]) -> Result<Vec<B::Answer>> {
    let mut attempt = 1;
    loop {
        match batch.run(requests).await {
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a group of requests is retried"
                );
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

impl<B: Batch> Clone for GroupCommit<B> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<B: Batch> fmt::Debug for GroupCommit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCommit").finish_non_exhaustive()
    }
}
