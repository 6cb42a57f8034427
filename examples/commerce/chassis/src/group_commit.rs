//! Many requests, one transaction: what arrives while a transaction is being committed shares the next one.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// How often a group is tried: what it lost against is over by then, and its clients still wait.
const ATTEMPTS: u32 = 5;
/// Times the attempts so far: between two of them.
const PAUSE: Duration = Duration::from_millis(10);

/// Work that is done for many requests at once.
#[async_trait]
pub trait Batch: Send + Sync + 'static {
    /// What is asked.
    type Request: Send + Sync + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// Does all of it in one transaction and answers each, in order; or does nothing of it. It may be run again, also
    /// where it is not known whether it was done.
    async fn run(&self, requests: &[Self::Request]) -> Result<Vec<Self::Answer>>;
}

/// The way to a [`Batch`]; clones lead to the same one.
pub struct GroupCommit<B: Batch> {
    queue: mpsc::Sender<Waiting<B>>,
}

struct Waiting<B: Batch> {
    request: B::Request,
    answer: oneshot::Sender<B::Answer>,
}

impl<B: Batch> GroupCommit<B> {
    /// The way to `batch`, with at most `limit` requests in a transaction, and the task that does the work. The
    /// task ends when everything asked is answered and either all clones are gone or `shutdown` was cancelled: a
    /// client that hangs must not keep it.
    pub fn new(
        batch: B,
        limit: usize,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = Result<()>> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(limit);
        (Self { queue }, work(batch, waiting, limit, shutdown))
    }

    /// Asks, and waits for the answer, which comes after the commit.
    ///
    /// # Errors
    /// [`Error::Ended`]: nothing was done. [`Error::NotCommitted`]: nothing was done, or nobody knows.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it unknown whether it was done.
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
                    // Who went away does not hear the answer; what was done stays done.
                    drop(sender.send(result));
                }
            }
            Err(error) => {
                // Dropping the senders tells everybody that no commit was seen.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a group of requests was not committed"
                );
            }
        }
    }
}

/// What lost against another transaction is tried again at once: that one is over.
async fn persist<B: Batch>(batch: &B, requests: &[B::Request]) -> Result<Vec<B::Answer>> {
    let mut attempt = 1;
    loop {
        match batch.run(requests).await {
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a group of requests is tried again"
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
