//! Ends holds that were not extended in time, in one process at a time.

use std::sync::Arc;

use async_trait::async_trait;
use commerce_chassis::{Connection, Db, LedRound, Outbox, Progress, Result, ServiceBuilder, Term};
use commerce_contracts::ReleaseCause;
use mainstay_clock::Clock;
use mainstay_database::Transactions as _;
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_outbox::Outbox as _;

use crate::{
    handlers::{released, tell},
    reservation::State,
    store,
};

/// Holds ended in one transaction at most. It must stay much shorter than the lease.
const ENDED_TOGETHER: i64 = 64;

/// The round that ends holds.
#[derive(Debug)]
pub(crate) struct Expiry {
    db: Db,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
}

impl Expiry {
    pub(crate) fn new(builder: &ServiceBuilder) -> Self {
        Self {
            db: builder.db().clone(),
            outbox: builder.outbox().clone(),
            clock: Arc::clone(builder.clock()),
        }
    }

    /// Releases the stock of holds whose time has passed at `now`.
    pub(crate) async fn end(&self, tx: &mut Connection, now: i64) -> Result<()> {
        store::lock(tx).await?;
        for order_id in store::expired(tx, now, ENDED_TOGETHER).await? {
            let (_, lines) = store::find(tx, &order_id).await?.unzip();
            let lines = lines.unwrap_or_default();
            let levels = store::give_back(tx, &lines).await?;
            tell(tx, &self.outbox, &levels, "expired").await?;
            store::save(tx, &order_id, State::Expired).await?;
            let released = released(order_id, ReleaseCause::Expired, &lines);
            self.outbox.emit(tx, &released).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl LedRound for Expiry {
    async fn round(&self, term: &Term) -> Result<Progress> {
        let next = store::next_expiry(self.db.reader()).await?;
        let now = micros_since_epoch(self.clock.now());
        if next.is_none_or(|at| at > now) {
            return Ok(Progress::until(next, now));
        }
        let mut tx = self.db.begin().await?;
        term.check(&mut tx).await?;
        self.end(&mut tx, now).await?;
        self.db.commit(tx).await?;
        Ok(Progress::More)
    }
}
