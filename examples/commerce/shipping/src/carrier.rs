//! The simulated carrier: moves due shipments. Due times are rows, so they survive a crash.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use commerce_chassis::{
    Connection, Db, Error, Outbox, Participant, Progress, Result, Round, ServiceBuilder,
};
use commerce_contracts::{OrderId, ShipmentStatus};
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_outbox::Outbox as _;

use crate::{
    shipment::{Push, after, report},
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

    /// Moves the shipments that are due at `now`; those that enter one status, together.
    pub(crate) async fn move_due(&self, tx: &mut Connection, now: i64) -> Result<()> {
        let mut moved: BTreeMap<ShipmentStatus, Vec<OrderId>> = BTreeMap::new();
        for shipment in store::due(tx, now, MOVED_TOGETHER).await? {
            let to = self.report(tx, &shipment, now).await?;
            moved.entry(to).or_default().push(shipment.order_id);
        }
        for (to, orders) in moved {
            store::enter(tx, &orders, to, now).await?;
        }
        Ok(())
    }

    /// Tells others that a shipment moves, if it concerns them, and says where it moves to.
    async fn report(&self, tx: &mut Connection, due: &Due, now: i64) -> Result<ShipmentStatus> {
        let to = after(due.status, Push::Due);
        let to = to.map_err(|illegal| Error::damaged("a due shipment", illegal))?;
        let moved = report(&due.order_id, due.status, to, now);
        match to {
            ShipmentStatus::Packed => {
                let task = due.task()?;
                if !self.kit.is_wanted(tx, &task).await? {
                    // It was cancelled before it was created, and that was answered.
                    return Ok(ShipmentStatus::Cancelled);
                }
                self.kit.done(tx, &task, &moved).await?;
            }
            ShipmentStatus::Delivered => self.outbox.emit(tx, &moved).await?,
            _ => {}
        }
        Ok(to)
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
