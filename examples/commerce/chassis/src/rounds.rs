//! Background work on rows that fall due.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use mainstay_clock::{Backoff, IdGenerator};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Result;

/// Work that runs again and again.
#[async_trait]
pub trait Round: Send + Sync + 'static {
    /// Does the work that is due now.
    ///
    /// # Cancel safety
    /// Shutdown waits for the end of a round; no round is dropped.
    async fn round(&self) -> Result<Progress>;
}

/// What a round found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There may be more work now.
    More,
    /// The next row falls due after this time.
    Due(Duration),
    /// No row waits.
    Idle,
}

impl Progress {
    /// Nothing is due at `now`, and the next row falls due at `next`; microseconds since 1970.
    #[must_use]
    pub fn until(next: Option<i64>, now: i64) -> Self {
        next.map_or(Self::Idle, |at| {
            let micros = u64::try_from(at.saturating_sub(now)).unwrap_or(0);
            Self::Due(Duration::from_micros(micros))
        })
    }
}

/// Safety-net polling, which also finds the rows of other processes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub(crate) async fn run(
    name: &'static str,
    round: impl Round,
    work: Arc<Notify>,
    min_interval: Duration,
    ids: impl IdGenerator,
    shutdown: CancellationToken,
) -> Result<()> {
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5));
    let mut failures = 0;
    loop {
        let pause = match round.round().await {
            Ok(progress) => {
                failures = 0;
                match progress {
                    Progress::More => Duration::ZERO,
                    Progress::Due(pause) => pause.min(POLL_INTERVAL),
                    Progress::Idle => POLL_INTERVAL,
                }
            }
            // Retry permanent errors too: a damaged row must not stop the other services.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(name, error, "a round failed; it is retried after a backoff");
                failures += 1;
                backoff.delay(failures - 1, &ids)
            }
        };
        let next = async {
            // Work that arrives meanwhile shares the next round's transaction.
            tokio::time::sleep(min_interval).await;
            tokio::select! {
                () = work.notified(), if failures == 0 => {}
                () = tokio::time::sleep(pause.saturating_sub(min_interval)) => {}
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = next => {}
        }
    }
}
