//! Scans of a parcel by a faulty release of the shipping service: the first says `IN TRANSIT`, which
//! is no status; the second is sound.

use std::{borrow::Cow, sync::Arc};

use commerce_chassis::{Db, Storage};
use commerce_contracts::{OrderId, ShipmentStatus, ShipmentStatusChanged};
use mainstay_clock::{Clock as _, SystemClock, SystemIds};
use mainstay_database::Transactions as _;
use mainstay_messaging::{Event, envelope::micros_since_epoch};
use mainstay_outbox::Outbox as _;
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

/// Emits scans of a second parcel of `order` in one transaction, as a release with that fault would.
pub(super) async fn emit(storage: &Storage, order: &str) -> Result<(), Failure> {
    let db = Db::open_existing(storage, SERVICE).await?;
    let (clock, ids) = (SystemClock::new(), Arc::new(SystemIds::new()));
    let occurred_at = micros_since_epoch(clock.now());
    let outbox = db.outbox(SERVICE, Arc::new(clock), ids).await?;
    let faulty = FaultyScan {
        shipment_id: format!("shp-{order}-2"),
        order_id: OrderId::new(order),
        tracking_no: format!("scan-{order}"),
        carrier: "demo".to_owned(),
        from: ShipmentStatus::Dispatched,
        to: WRONG.trim_matches('"').to_owned(),
        location: Some("Hamburg".to_owned()),
        occurred_at,
    };
    let sound = ShipmentStatusChanged {
        shipment_id: faulty.shipment_id.clone(),
        order_id: faulty.order_id.clone(),
        tracking_no: faulty.tracking_no.clone(),
        carrier: faulty.carrier.clone(),
        from: ShipmentStatus::InTransit,
        to: ShipmentStatus::OutForDelivery,
        location: Some("Berlin".to_owned()),
        occurred_at,
    };
    let cannot = |error| Failure::new("the scans cannot be emitted", &error);
    let mut tx = db.begin().await.map_err(commerce_chassis::Error::from)?;
    outbox.emit(&mut tx, &faulty).await.map_err(cannot)?;
    outbox.emit(&mut tx, &sound).await.map_err(cannot)?;
    db.commit(tx).await.map_err(commerce_chassis::Error::from)?;
    Ok(())
}
