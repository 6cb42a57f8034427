//! The simulated carrier: moves due shipments. Due times are rows, so they survive a crash.

use async_trait::async_trait;
use commerce_chassis::{Cause, Db, Journal, Progress, Result, Round, ServiceBuilder};
use mainstay_database::Transactions;

use crate::{
    moves::{Move, carry_out},
    shipment::{Push, after},
    store,
};

/// Shipments in one transaction at most.
const MOVED_TOGETHER: i64 = 500;

/// The round that moves shipments.
#[derive(Debug)]
pub(crate) struct Carrier {
    db: Db,
    journal: Journal,
}

impl Carrier {
    pub(crate) fn new(builder: &ServiceBuilder) -> Self {
        Self {
            db: builder.db().clone(),
            journal: builder.journal().clone(),
        }
    }
}

#[async_trait]
impl Round for Carrier {
    async fn round(&self) -> Result<Progress> {
        let next = store::next_due(self.db.reader()).await?;
        let now = self.journal.now();
        if next.is_none_or(|at| at > now) {
            return Ok(Progress::until(next, now));
        }
        let mut tx = self.db.begin().await?;
        let due = store::due(&mut tx, now, MOVED_TOGETHER).await?;
        let moves = due
            .into_iter()
            .filter_map(|shipment| match after(shipment.status, Push::Due) {
                Ok(to) => Some(Move {
                    shipment,
                    to,
                    // No message causes this move.
                    cause: Cause::default(),
                }),
                Err(illegal) => {
                    tracing::warn!(%illegal, order = %shipment.order_id, "a due shipment has no next status; it is skipped");
                    None
                }
            })
            .collect();
        let mut entries = self.journal.entries();
        carry_out(&mut entries, &mut tx, moves, now).await?;
        entries.write(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(Progress::More)
    }
}
