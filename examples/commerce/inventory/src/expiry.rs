//! Ends holds that were not confirmed in time, in one process at a time.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use commerce_chassis::{
    Cause, Connection, Db, Journal, LedRound, Progress, Result, ServiceBuilder, Term,
};
use commerce_contracts::{OrderId, ReleaseCause, Sku, StockReleased};
use mainstay_database::Transactions;

use crate::{
    handlers::{reservation_id, wire},
    reservation::{State, expires},
    store::{self, Reservation},
};

/// Holds ended in one transaction at most. It must stay much shorter than the lease.
const ENDED_TOGETHER: i64 = 64;

/// The round that ends holds.
#[derive(Debug)]
pub(crate) struct Expiry {
    db: Db,
    journal: Journal,
}

impl Expiry {
    pub(crate) fn new(builder: &ServiceBuilder) -> Self {
        Self {
            db: builder.db().clone(),
            journal: builder.journal().clone(),
        }
    }

    /// Releases the stock of holds whose time has passed.
    async fn end(
        &self,
        connection: &mut Connection,
        due: &BTreeSet<&OrderId>,
        now: i64,
    ) -> Result<()> {
        let known = store::load(connection, due).await?;
        let mut entries = self.journal.entries();
        let mut back: BTreeMap<Sku, i64> = BTreeMap::new();
        let mut ended: Vec<Reservation> = known
            .into_values()
            // It may have been confirmed or cancelled since it was found.
            .filter(|it| expires(it.state, it.expires_at, now))
            .collect();
        for reservation in &mut ended {
            reservation.state = State::Expired;
            for (sku, quantity) in &reservation.lines {
                *back.entry(sku.clone()).or_default() += quantity;
            }
            let released = StockReleased {
                reservation_id: reservation_id(reservation),
                order_id: reservation.order_id.clone(),
                cause: ReleaseCause::Expired,
                lines: wire(&reservation.lines),
            };
            entries.emit(
                reservation_id(reservation),
                &mut reservation.emitted,
                &released,
                Cause::default(),
            )?;
        }
        if ended.is_empty() {
            return Ok(());
        }
        let ended: Vec<&Reservation> = ended.iter().collect();
        store::save(connection, &ended, now).await?;
        store::unhold(connection, &back, false).await?;
        entries.write(connection).await
    }
}

#[async_trait]
impl LedRound for Expiry {
    async fn round(&self, term: &Term) -> Result<Progress> {
        let now = self.journal.now();
        let due = store::expired(self.db.reader(), now, ENDED_TOGETHER).await?;
        if due.is_empty() {
            let next = store::next_expiry(self.db.reader()).await?;
            return Ok(Progress::until(next, now));
        }
        let mut tx = self.db.begin().await?;
        term.check(&mut tx).await?;
        self.end(&mut tx, &due.iter().collect(), now).await?;
        self.db.commit(tx).await?;
        Ok(Progress::More)
    }
}
