//! The states of a shipment and their durations. Pure.

use std::time::Duration;

use commerce_contracts::{Address, OrderId, ShipmentStatus as Status, ShipmentStatusChanged};

/// Real time over simulated time.
const SPEED: u32 = 1_000;

/// The postcode that the simulated carrier does not serve.
const NOWHERE: &str = "00000";

/// The postcode to which somebody else carries the parcel, and reports scans of it.
const BY_HAND: &str = "99999";
/// How long a parcel waits for such a scan. Then the simulated carrier carries it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Why a shipment moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Push {
    /// It is due.
    Due,
    /// The order commands the dispatch.
    Dispatch,
    /// The order is cancelled.
    Cancel,
    /// The carrier has seen it in this status.
    Scan(Status),
}

/// A push that the shipment's status does not allow.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error, Debug)]
#[error("a shipment that is {} does not take {push:?}", status.name())]
pub(crate) struct Illegal {
    status: Status,
    push: Push,
}

/// The status after a push. Scans may be lost, so one may skip statuses.
pub(crate) fn after(status: Status, push: Push) -> Result<Status, Illegal> {
    match (status, push) {
        (Status::Created, Push::Due) => Ok(Status::Allocated),
        (Status::Allocated, Push::Due) => Ok(Status::Picked),
        (Status::Picked, Push::Due) => Ok(Status::Packed),
        (Status::Packed, Push::Dispatch) => Ok(Status::Dispatched),
        (Status::Dispatched, Push::Due) => Ok(Status::InTransit),
        (Status::InTransit, Push::Due) => Ok(Status::OutForDelivery),
        (Status::OutForDelivery, Push::Due) => Ok(Status::Delivered),
        (Status::DeliveryFailed, Push::Due | Push::Scan(Status::Returned)) => Ok(Status::Returned),
        (Status::Created | Status::Allocated | Status::Picked | Status::Packed, Push::Cancel) => {
            Ok(Status::Cancelled)
        }
        (Status::Dispatched | Status::InTransit | Status::OutForDelivery, Push::Scan(to))
            if to > status && to < Status::Cancelled =>
        {
            Ok(to)
        }
        (status, push) => Err(Illegal { status, push }),
    }
}

/// Whether the carrier has it, or had it.
pub(crate) fn has_left(status: Status) -> bool {
    status >= Status::Dispatched && status < Status::Cancelled
}

/// Whether other services hear of it although no command asked for it.
pub(crate) const fn is_announced(status: Status) -> bool {
    matches!(
        status,
        Status::Delivered | Status::DeliveryFailed | Status::Returned
    )
}

/// How long a shipment stays in a status before it is due; none = it waits for a message, or the
/// status is terminal.
pub(crate) const fn stay(status: Status) -> Option<Duration> {
    let real_seconds = match status {
        Status::Created => 30,
        Status::Allocated => 120,
        Status::Picked => 60,
        Status::Dispatched | Status::OutForDelivery => 300,
        Status::InTransit | Status::DeliveryFailed => 600,
        _ => return None,
    };
    Some(Duration::from_micros(
        real_seconds * 1_000_000 / SPEED as u64,
    ))
}

/// Whether the carrier delivers to the address.
pub(crate) fn is_served(ship_to: &Address) -> bool {
    ship_to.postcode != NOWHERE
}

/// Whether somebody else carries the parcel there, while the simulated carrier waits.
pub(crate) fn is_carried_by_hand(ship_to: &Address) -> bool {
    ship_to.postcode == BY_HAND
}

/// The id of an order's shipment.
pub(crate) fn shipment_id(order_id: &OrderId) -> String {
    format!("shp-{order_id}")
}

/// The carrier's number for it.
pub(crate) fn tracking_no(order_id: &OrderId) -> String {
    let id = order_id.as_str().replace('-', "").to_uppercase();
    format!("MS{id}")
}

/// The report that the shipment of an order moves at `at`.
pub(crate) fn report(
    order_id: &OrderId,
    from: Status,
    to: Status,
    at: i64,
) -> ShipmentStatusChanged {
    ShipmentStatusChanged {
        shipment_id: shipment_id(order_id),
        order_id: order_id.clone(),
        tracking_no: tracking_no(order_id),
        carrier: "simulated".to_owned(),
        from,
        to,
        location: None,
        occurred_at: at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn push() -> impl Strategy<Value = Push> {
        prop_oneof![
            4 => Just(Push::Due),
            2 => Just(Push::Dispatch),
            1 => Just(Push::Cancel),
            4 => proptest::sample::select(&Status::ALL[..]).prop_map(Push::Scan),
        ]
    }

    proptest! {
        #[test]
        fn a_shipment_never_moves_backwards_and_is_not_cancelled_after_dispatch(pushes in proptest::collection::vec(push(), 0..40)) {
            let mut status = Status::Created;
            for push in pushes {
                if let Ok(next) = after(status, push) {
                    prop_assert!(next > status, "{:?} -> {:?}", status, next);
                    prop_assert!(next != Status::Cancelled || status <= Status::Packed);
                    status = next;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_parcel_ends_the_same_however_its_scans_are_shuffled_and_doubled(
            failed in any::<bool>(),
            doubled in 1..3_usize,
            scans in Just([Status::InTransit, Status::OutForDelivery, Status::Delivered]).prop_shuffle(),
        ) {
            let last = if failed { Status::Returned } else { Status::Delivered };
            let scans = scans.map(|scan| if scan == Status::Delivered { last } else { scan });
            let mut status = Status::Dispatched;
            for scan in scans.iter().cycle().take(3 * doubled) {
                status = after(status, Push::Scan(*scan)).unwrap_or(status);
            }
            prop_assert_eq!(status, last);
        }

        #[test]
        fn a_scan_moves_only_what_has_left(status in proptest::sample::select(&Status::ALL[..]), scan in proptest::sample::select(&Status::ALL[..])) {
            let moved = after(status, Push::Scan(scan));
            prop_assert!(moved.is_err() || (has_left(status) && has_left(scan)));
        }
    }

    #[test]
    fn a_status_with_a_duration_has_a_next_status() {
        for status in Status::ALL {
            assert_eq!(
                stay(status).is_some(),
                after(status, Push::Due).is_ok(),
                "{status:?}"
            );
        }
    }
}
