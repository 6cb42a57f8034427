//! Background work that goes by rows which fall due.

use std::time::Duration;

use async_trait::async_trait;
use mainstay_clock::{Backoff, IdGenerator};
use tokio_util::sync::CancellationToken;

use crate::{Bell, Result};

/// Work that is looked for again and again.
#[async_trait]
pub trait Round: Send + Sync + 'static {
    /// Does what is due now.
    ///
    /// # Cancel safety
    /// It is not dropped on shutdown: the round that runs is finished.
    async fn round(&self) -> Result<Progress>;
}

/// What a round found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There may be more at once.
    More,
    /// The next row falls due after this time.
    Due(Duration),
    /// Nothing waits.
    Idle,
}

/// How often to look without being rung: what finds rows of other processes.
const SLOW_POLL: Duration = Duration::from_millis(200);

pub(crate) async fn run(
    name: &'static str,
    round: impl Round,
    bell: Bell,
    rest: Duration,
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
                    Progress::Due(pause) => pause.min(SLOW_POLL),
                    Progress::Idle => SLOW_POLL,
                }
            }
            // Also what does not heal by itself: a row that somebody damaged must not take the other services down.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(name, error, "a round failed and is tried again");
                failures += 1;
                backoff.delay(failures - 1, &ids)
            }
        };
        let next = async {
            // What comes in meanwhile shares the next round's transaction.
            tokio::time::sleep(rest).await;
            tokio::select! {
                () = bell.rung(), if failures == 0 => {}
                () = tokio::time::sleep(pause.saturating_sub(rest)) => {}
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = next => {}
        }
    }
}
