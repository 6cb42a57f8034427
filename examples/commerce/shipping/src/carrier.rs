//! The simulated carrier: moves due shipments. Due times are rows, so they survive a crash.

use std::sync::Arc;

use async_trait::async_trait;
use commerce_chassis::{
    Connection, Db, Error, Outbox, Participant, Progress, Result, Round, ServiceBuilder,
};
use commerce_contracts::ShipmentStatus;
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_outbox::Outbox as _;

use crate::{
    shipment::{Push, after, is_announced, report},
    store::{self, Due},
};

/// Shipments in one transaction at most.
const MOVED_TOGETHER: i64 = 500;

/// The round that moves shipments.
#[derive(Debug)]
pub(crate) struct Carrier {
    db: Db,
    outbox: Outbox,
    kit: Participant,
    clock: Arc<dyn Clock>,
}

impl Carrier {
    pub(crate) fn new(builder: &ServiceBuilder, kit: Participant) -> Self {
        Self {
            db: builder.db().clone(),
            outbox: builder.outbox().clone(),
            kit,
            clock: Arc::clone(builder.clock()),
        }
    }

    /// Moves the shipments that are due at `now`.
    pub(crate) async fn move_due(&self, tx: &mut Connection, now: i64) -> Result<()> {
        for shipment in store::due(tx, now, MOVED_TOGETHER).await? {
            self.advance(tx, &shipment, now).await?;
        }
        Ok(())
    }

    async fn advance(&self, tx: &mut Connection, due: &Due, now: i64) -> Result<()> {
        let (order_id, from) = (&due.order_id, due.status);
        let to = after(from, Push::Due);
        let mut to = to.map_err(|illegal| Error::damaged("a due shipment", illegal))?;
        let moved = report(order_id, from, to, now);
        match to {
            ShipmentStatus::Packed => {
                let task = due.task()?;
                if self.kit.is_wanted(tx, &task).await? {
                    self.kit.done(tx, &task, &moved).await?;
                } else {
                    // It was cancelled before it was created, and that was answered.
                    to = ShipmentStatus::Cancelled;
                }
            }
            to if is_announced(to) => self.outbox.emit(tx, &moved).await?,
            _ => {}
        }
        store::enter(tx, order_id, to, now).await
    }
}

#[async_trait]
impl Round for Carrier {
    async fn round(&self) -> Result<Progress> {
        let next = store::next_due(self.db.reader()).await?;
        let now = micros_since_epoch(self.clock.now());
        if next.is_none_or(|at| at > now) {
            return Ok(Progress::until(next, now));
        }
        let mut tx = self.db.begin().await?;
        self.move_due(&mut tx, now).await?;
        self.db.commit(tx).await?;
        Ok(Progress::More)
    }
}
