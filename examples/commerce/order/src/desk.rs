//! The `PlaceOrder` runs of a deployment, for operators.

use std::sync::Arc;

use commerce_chassis::{Db, Outbox, Result, Sagas, Storage};
use mainstay_clock::{SystemClock, SystemIds};

use crate::{PlaceOrder, orders::Orders, saga};

/// What operators see of the runs of `PlaceOrder`, and do to them.
pub type Desk = mainstay_saga::Desk<PlaceOrder, Sagas, Outbox>;

/// Opens the desk in the database of a running or a stopped service.
///
/// # Errors
/// The service has not created the database yet, or it cannot be opened.
pub async fn desk(storage: &Storage) -> Result<Desk> {
    let db = Db::open_existing(storage, "order").await?;
    let (clock, ids) = (SystemClock::new(), SystemIds::new());
    let outbox = db.outbox("order", Arc::new(clock), Arc::new(ids)).await?;
    let orders = Orders::new(db.streams().await?, outbox);
    Ok(saga::orchestrator(db.sagas().await?, orders)?.desk())
}
