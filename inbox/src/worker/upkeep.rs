//! Checkpoints and sweeps, in their own time.

use std::{sync::Arc, time::Duration};

use mainstay_database::Transactions;
use mainstay_messaging::Position;
use tokio::sync::watch;

use super::work::Work;
use crate::{Error, MarkRetention};

/// Marks looked at in one transaction of a sweep.
const STEP: u32 = 1_000;

/// Records how far the group has come and forgets old marks, every sixteenth of the window, for ever.
pub(super) async fn upkeep<T, I>(
    work: Arc<Work<T, I>>,
    mut committed: watch::Receiver<Vec<Position>>,
) where
    T: Transactions + ?Sized,
    I: MarkRetention + ?Sized,
{
    let window = work.settings.retention;
    let spacing = (window / 16).clamp(Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
    loop {
        let Ok(positions) = committed
            .wait_for(|positions| !positions.is_empty())
            .await
            .map(|positions| positions.clone())
        else {
            return; // the engine is gone
        };
        if let Err(error) = round(&work, &positions, window, spacing).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old marks were not forgotten; again later"
            );
        }
        tokio::time::sleep(spacing).await;
    }
}

async fn round<T, I>(
    work: &Work<T, I>,
    positions: &[Position],
    window: Duration,
    spacing: Duration,
) -> Result<(), Error>
where
    T: Transactions + ?Sized,
    I: MarkRetention + ?Sized,
{
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
        let swept = work.inbox.sweep(&work.group, horizon, from, STEP).await?;
        work.meters.forgotten.increment(swept.forgotten);
        cursor = swept.next;
    }
    Ok(())
}
