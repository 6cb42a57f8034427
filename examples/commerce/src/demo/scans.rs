//! Scans of a parcel by a faulty release of the shipping service: the first says `IN TRANSIT`, which
//! is no status; the second is sound.

use std::{borrow::Cow, sync::Arc};

use commerce_chassis::{Cause, Db, Journal, Storage};
use commerce_contracts::{Contract, OrderId, ShipmentStatus, ShipmentStatusChanged};
use mainstay_clock::{SystemClock, SystemIds};
use mainstay_database::Transactions as _;
use mainstay_messaging::event::Event;
use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// The service that emits them.
const SERVICE: &str = "shipping";
/// What the faulty release writes.
pub(super) const WRONG: &str = "\"IN TRANSIT\"";
/// What it means.
pub(super) const RIGHT: &str = "\"in_transit\"";

/// As the faulty release serialises it: the status is a text.
#[derive(Serialize, Deserialize)]
struct FaultyScan {
    shipment_id: String,
    order_id: OrderId,
    tracking_no: String,
    carrier: String,
    from: ShipmentStatus,
    to: String,
    location: Option<String>,
    occurred_at: i64,
}

impl Event for FaultyScan {
    const TOPIC: &'static str = ShipmentStatusChanged::TOPIC;
    const KIND: &'static str = ShipmentStatusChanged::KIND;

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.order_id.as_str().into())
    }
}

impl Contract for FaultyScan {
    fn order_id(&self) -> &OrderId {
        &self.order_id
    }
}

/// Emits both scans of the parcel of `order` in one transaction, as a release with that fault would.
pub(super) async fn emit(storage: &Storage, order: &OrderId) -> Result<(), Failure> {
    let db = Db::open_existing(storage, SERVICE).await?;
    let (clock, ids) = (Arc::new(SystemClock::new()), Arc::new(SystemIds::new()));
    let journal = Journal::open(&db, SERVICE, clock, ids).await?;
    let faulty = FaultyScan {
        shipment_id: format!("shp-{order}"),
        order_id: order.clone(),
        tracking_no: format!("scan-{order}"),
        carrier: "demo".to_owned(),
        from: ShipmentStatus::Dispatched,
        to: WRONG.trim_matches('"').to_owned(),
        location: Some("Hamburg".to_owned()),
        occurred_at: journal.now(),
    };
    let sound = ShipmentStatusChanged {
        shipment_id: faulty.shipment_id.clone(),
        order_id: order.clone(),
        tracking_no: faulty.tracking_no.clone(),
        carrier: faulty.carrier.clone(),
        from: ShipmentStatus::InTransit,
        to: ShipmentStatus::OutForDelivery,
        location: Some("Berlin".to_owned()),
        occurred_at: journal.now(),
    };
    // An aggregate of its own: the shipment's messages are numbered by the service.
    let (aggregate, mut emitted) = (faulty.tracking_no.clone(), 0);
    let mut entries = journal.entries();
    entries.emit(&aggregate, &mut emitted, &faulty, Cause::default())?;
    entries.emit(&aggregate, &mut emitted, &sound, Cause::default())?;
    let mut tx = db.begin().await.map_err(commerce_chassis::Error::from)?;
    entries.write(&mut tx).await?;
    db.commit(tx).await.map_err(commerce_chassis::Error::from)?;
    Ok(())
}

/// How many effects the scan with this status had in `service`.
pub(super) async fn effects(
    storage: &Storage,
    service: &str,
    order: &OrderId,
    status: ShipmentStatus,
) -> Result<i64, Failure> {
    let db = Db::open_existing(storage, service).await?;
    let effect = format!("{}:{order}:{}", ShipmentStatusChanged::KIND, status.name());
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM effects WHERE effect = $1")
        .bind(effect)
        .fetch_one(db.reader())
        .await
        .map_err(|error| Failure::new("the effects cannot be read", &error))?;
    Ok(count)
}
