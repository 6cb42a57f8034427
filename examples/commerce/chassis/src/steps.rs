//! Deletes what a participant of sagas knows of steps that nobody asks about any more.

use std::time::Duration;

use mainstay_database::Transactions as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{Db, Participant, Result};

/// How long a step is kept after its last change: three times as long as the runs of the saga. A
/// command that is older finds its processed record, so it is not begun again.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How often they are looked for. The look reads an index from its old end.
const EVERY: Duration = Duration::from_secs(60);

/// Steps of one transaction at most: other writers wait for it.
const TOGETHER: u32 = 500;

/// Prunes once a minute until `shutdown`.
pub(crate) async fn prune(db: Db, kit: Participant, shutdown: CancellationToken) -> Result<()> {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = prune_old(&db, &kit).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "old steps of sagas were not deleted; the next round does"
            );
        }
    }
    Ok(())
}

/// Deletes all that are old by now.
async fn prune_old(db: &Db, kit: &Participant) -> Result<()> {
    loop {
        let mut tx = db.begin().await?;
        let pruned = kit.prune(&mut tx, KEPT, TOGETHER).await?;
        if pruned > 0 {
            db.commit(tx).await?;
        }
        if pruned < u64::from(TOGETHER) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_database::Migrations;
    use mainstay_messaging::envelope::micros_since_epoch;

    use super::*;
    use crate::{Deployment, ON_A_SERVER, ServiceBuilder, Storage, StorageSettings};

    const NO_TABLES: Migrations = Migrations {
        component: "nothing",
        steps: &[],
    };

    #[tokio::test]
    async fn steps_that_are_older_than_runs_may_be_are_deleted_and_no_others() {
        if ON_A_SERVER {
            return; // the statement is the crate's, and is tested there
        }
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new(&StorageSettings {
            data: directory.path().to_owned(),
            ..StorageSettings::default()
        });
        let deployment = Deployment::open(storage.unwrap()).await.unwrap();
        let builder = ServiceBuilder::open(&deployment, "steps", &NO_TABLES).await;
        let mut builder = builder.unwrap();
        let kit = builder.participant().await.unwrap();
        let (db, now) = (builder.db(), micros_since_epoch(deployment.clock().now()));
        let days_ago = |days: i64| now - days * 24 * 60 * 60 * 1_000_000;
        let mut tx = db.begin().await.unwrap();
        let old = 2 * TOGETHER + 1;
        for (prefix, count, at) in [("old", old, days_ago(91)), ("young", 2, days_ago(89))] {
            for number in 0..count {
                sqlx::query(
                    "INSERT INTO saga_steps (step, begins, undos, at) VALUES ($1, 1, 0, $2)",
                )
                .bind(format!("{prefix} {number}"))
                .bind(at)
                .execute(&mut *tx)
                .await
                .unwrap();
            }
        }
        db.commit(tx).await.unwrap();

        prune_old(db, &kit).await.unwrap();
        let left: Vec<String> = sqlx::query_scalar("SELECT step FROM saga_steps ORDER BY step")
            .fetch_all(db.reader())
            .await
            .unwrap();
        assert_eq!(left, ["young 0", "young 1"]);
    }
}
