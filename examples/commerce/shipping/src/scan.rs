//! What the carrier tells of a parcel: each scan has its effect once, and none moves a parcel
//! backwards. Scans come late, twice and in any order.

use commerce_chassis::{Connection, Outbox, Result};
use commerce_contracts::{ShipmentStatus, ShipmentStatusChanged};
use mainstay_outbox::Outbox as _;

use crate::{
    shipment::{Push, after, has_left, is_announced, report},
    store,
};

/// The carrier saw a parcel.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The carrier's id of it.
    pub(crate) id: String,
    pub(crate) tracking_no: String,
    pub(crate) status: ShipmentStatus,
    pub(crate) location: Option<String>,
    pub(crate) occurred_at: i64,
}

/// What came of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// The parcel is now where the carrier saw it.
    Moved(ShipmentStatus),
    /// The scan was taken before, or is older than what is known; the parcel is in this status.
    Nothing(ShipmentStatus),
    /// No parcel has that number.
    Unknown,
    /// The parcel was not handed over to the carrier yet, or never will be.
    NotLeft(ShipmentStatus),
}

/// Takes a scan in the transaction of its effect.
pub(crate) async fn take(
    tx: &mut Connection,
    outbox: &Outbox,
    scan: &Scan,
    now: i64,
) -> Result<Taken> {
    let Some((order_id, from)) = store::lock_tracked(tx, &scan.tracking_no).await? else {
        return Ok(Taken::Unknown);
    };
    // Not kept: the same scan counts when it is sent again after the dispatch.
    if !has_left(from) {
        return Ok(Taken::NotLeft(from));
    }
    if !store::keep(tx, &order_id, scan, now).await? {
        return Ok(Taken::Nothing(from));
    }
    let Ok(to) = after(from, Push::Scan(scan.status)) else {
        return Ok(Taken::Nothing(from));
    };
    store::enter_scanned(tx, &order_id, scan, now).await?;
    if is_announced(to) {
        let moved = ShipmentStatusChanged {
            location: scan.location.clone(),
            ..report(&order_id, from, to, scan.occurred_at)
        };
        outbox.emit(tx, &moved).await?;
    }
    Ok(Taken::Moved(to))
}
