//! Counts again from the facts, beside the live counts, and swaps.
//!
//! Each page of facts is one transaction, which also moves the cursor. So a rebuild goes on where a
//! crash has cut it off, and events are counted between pages: in the live counts, and, if their
//! order is before the cursor, in the new ones too.

use std::sync::Arc;

use async_trait::async_trait;
use commerce_chassis::{Connection, Db, Progress, Result, Round, ServiceBuilder};
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;

use crate::{counts::Counts, store};

/// Orders in one transaction at most: events wait for its end.
const COUNTED_TOGETHER: i64 = 500;

/// The round that rebuilds.
#[derive(Debug)]
pub(crate) struct Rebuild {
    db: Db,
    clock: Arc<dyn Clock>,
}

impl Rebuild {
    pub(crate) fn new(builder: &ServiceBuilder) -> Self {
        Self {
            db: builder.db().clone(),
            clock: Arc::clone(builder.clock()),
        }
    }

    /// Counts one page. False: there is no rebuild under way any more.
    pub(crate) async fn page(&self, tx: &mut Connection, limit: i64) -> Result<bool> {
        let projection = store::lock(tx).await?;
        let Some(building) = projection.building else {
            return Ok(false);
        };
        let page = store::page(tx, &projection.cursor, limit).await?;
        let Some(last) = page.last() else {
            self.finish(tx, projection.live, building).await?;
            return Ok(false);
        };
        let mut counts = Counts::default();
        for known in &page {
            counts.add_order(&known.fact);
        }
        store::add(tx, building, &counts).await?;
        let more = i64::try_from(page.len()).unwrap_or(i64::MAX);
        store::go_on(tx, &last.order_id, more).await?;
        Ok(true)
    }

    async fn finish(&self, tx: &mut Connection, live: i64, building: i64) -> Result<()> {
        let live = store::counts(tx, live).await?.hash();
        let rebuilt = store::counts(tx, building).await?.hash();
        if live != rebuilt {
            tracing::error!(
                live,
                rebuilt,
                "the live counts were wrong; the rebuilt ones replace them"
            );
        }
        let now = micros_since_epoch(self.clock.now());
        store::swap(tx, &live, &rebuilt, now).await
    }
}

#[async_trait]
impl Round for Rebuild {
    async fn round(&self) -> Result<Progress> {
        let projection = store::projection(self.db.reader()).await?;
        if projection.building.is_none() {
            return Ok(Progress::Idle);
        }
        let mut tx = self.db.begin().await?;
        let goes_on = self.page(&mut tx, COUNTED_TOGETHER).await?;
        self.db.commit(tx).await?;
        Ok(if goes_on {
            Progress::More
        } else {
            Progress::Idle
        })
    }
}
