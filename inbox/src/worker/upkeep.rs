//! Checkpoints and pruning, in a task of their own.

use std::{sync::Arc, time::Duration};

use mainstay_messaging::Position;
use tokio::sync::watch;

use super::work::Work;
use crate::{Error, store::WorkerStore};

/// Processed records that one transaction of pruning looks at.
const STEP: u32 = 1_000;

/// Records checkpoints and prunes processed records, every sixteenth of the window, until it is
/// aborted.
pub(super) async fn upkeep<I: WorkerStore>(
    work: Arc<Work<I>>,
    mut committed: watch::Receiver<Vec<Position>>,
) {
    let window = work.settings.retention;
    let spacing = (window / 16).clamp(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
    loop {
        let Ok(positions) = committed
            .wait_for(|positions| !positions.is_empty())
            .await
            .map(|positions| positions.clone())
        else {
            return; // the engine has ended
        };
        if let Err(error) = round(&work, &positions, window, spacing).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                consumer = %work.group, "processed records were not pruned; the worker tries again later"
            );
        }
        tokio::time::sleep(spacing).await;
    }
}

async fn round<I: WorkerStore>(
    work: &Work<I>,
    positions: &[Position],
    window: Duration,
    spacing: Duration,
) -> Result<(), Error> {
    let now = work.inbox.now().await?;
    // A little less than the spacing, so that a timer that fires early does not skip a checkpoint.
    work.inbox
        .checkpoint(&work.group, positions, now, spacing.mul_f64(0.9))
        .await?;
    let Some(horizon) = now.checked_sub(window) else {
        return Ok(());
    };
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        let pruned = work.inbox.prune(&work.group, horizon, from, STEP).await?;
        work.meters.pruned.increment(pruned.deleted);
        cursor = pruned.next;
    }
    Ok(())
}
