//! The simulated carrier: moves due shipments. Due times are rows, so they survive a crash.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use commerce_chassis::{
    Connection, Db, Error, Outbox, Participant, Progress, Result, Round, ServiceBuilder,
};
use commerce_contracts::{OrderId, ShipmentStatus};
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::{Message, envelope::micros_since_epoch};
use mainstay_outbox::{Entry, Outbox as _};

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

    /// Moves the shipments that are due at `now`. Here sets of rows are written: each shipment enters
    /// six statuses by itself.
    pub(crate) async fn move_due(&self, tx: &mut Connection, now: i64) -> Result<()> {
        let (mut entering, mut heard) = (BTreeMap::<_, Vec<OrderId>>::new(), Vec::new());
        for due in store::due(tx, now, MOVED_TOGETHER).await? {
            let to = self.advance(tx, &due, now, &mut heard).await?;
            entering.entry(to).or_default().push(due.order_id);
        }
        for (to, order_ids) in entering {
            store::enter_all(tx, &order_ids, to, now).await?;
        }
        let entries: Vec<Entry<'_>> = heard.iter().map(Entry::new).collect();
        if !entries.is_empty() {
            // Without deduplication keys, each of them is added.
            let _added = self.outbox.enqueue_batch(tx, &entries).await?;
        }
        Ok(())
    }

    /// The status that a shipment enters. What others hear of it is answered, or added to `heard`.
    async fn advance(
        &self,
        tx: &mut Connection,
        due: &Due,
        now: i64,
        heard: &mut Vec<Message>,
    ) -> Result<ShipmentStatus> {
        let (order_id, from) = (&due.order_id, due.status);
        let to = after(from, Push::Due);
        let to = to.map_err(|illegal| Error::damaged("a due shipment", illegal))?;
        let moved = report(order_id, from, to, now);
        if to == ShipmentStatus::Packed {
            let task = due.task()?;
            if !self.kit.is_wanted(tx, &task).await? {
                // It was cancelled before it was created, and that was answered.
                return Ok(ShipmentStatus::Cancelled);
            }
            self.kit.done(tx, &task, &moved).await?;
        } else if is_announced(to) {
            heard.push(self.outbox.message(&moved)?);
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
