//! The dead letter queue of a service, on the service's own database.

use commerce_contracts::{
    AuthorizePayment, CancelShipment, CapturePayment, DispatchShipment, ExtendReservation,
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderPlaced, PaymentAuthorized,
    PaymentCaptured, PaymentDeclined, PaymentRefunded, PrepareShipment, ProductChanged,
    RefundPayment, ReleaseStock, ReserveStock, ShipmentStatusChanged, StockLevelChanged,
    StockReleased, StockReservationFailed, StockReserved, UserChanged, VoidOrRefundPayment,
};
use mainstay_dlq::{DeadLetterQueue, StoreOf};

use super::Inbox;

/// The inbox of a service, with its dead letter queue.
pub type DeadLetters = DeadLetterQueue<Inbox, StoreOf<Inbox>>;
/// What operators see and do about the messages that a service cannot handle.
pub type Desk = mainstay_dlq::Desk<Inbox, StoreOf<Inbox>>;

/// An edited message must decode as what it claims to be: every contract that a service handles.
pub(super) fn checked(desk: Desk) -> Desk {
    desk.check::<ReserveStock>()
        .check::<ExtendReservation>()
        .check::<ReleaseStock>()
        .check::<StockReserved>()
        .check::<StockReservationFailed>()
        .check::<StockReleased>()
        .check::<AuthorizePayment>()
        .check::<CapturePayment>()
        .check::<VoidOrRefundPayment>()
        .check::<RefundPayment>()
        .check::<PaymentAuthorized>()
        .check::<PaymentDeclined>()
        .check::<PaymentCaptured>()
        .check::<PaymentRefunded>()
        .check::<PrepareShipment>()
        .check::<DispatchShipment>()
        .check::<CancelShipment>()
        .check::<ShipmentStatusChanged>()
        .check::<OrderPlaced>()
        .check::<OrderConfirmed>()
        .check::<OrderCompleted>()
        .check::<OrderCancelled>()
        .check::<ProductChanged>()
        .check::<StockLevelChanged>()
        .check::<UserChanged>()
}

#[cfg(all(test, not(feature = "distributed")))]
mod tests {
    use crate::{Db, Storage};

    #[tokio::test]
    async fn every_kind_that_a_service_handles_is_checked() {
        let directory = tempfile::tempdir().unwrap();
        let settings = crate::StorageSettings {
            data: directory.path().to_owned(),
            ..crate::StorageSettings::default()
        };
        let storage = Storage::new(&settings).unwrap();
        let db = Db::open(&storage, "order").await.unwrap();
        db.migrate_messaging().await.unwrap();
        let checks = format!("{:?}", db.desk().await.unwrap());
        for subscription in commerce_contracts::SUBSCRIPTIONS {
            for kind in subscription.kinds {
                assert!(checks.contains(&format!("{kind:?}")), "{kind}: {checks}");
            }
        }
    }
}
