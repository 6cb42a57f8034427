//! The handlers and the carrier on a database.

mod fixture;
mod scans;

use commerce_chassis::Caller;
use commerce_contracts::{
    Address, CancelReason, CancelShipment, Currency, DispatchShipment, Money, OrderCancelled,
    OrderConfirmed, OrderId, PrepareShipment, ShipmentStatus as Status, ShipmentStatusChanged,
};
use mainstay_database::Transactions as _;
use mainstay_inbox::Received;
use mainstay_messaging::event::decode;
use mainstay_saga::store::Unbegun;

use fixture::Fixture;

fn order_id() -> OrderId {
    OrderId::new("o")
}

fn prepare(postcode: &str) -> PrepareShipment {
    PrepareShipment {
        order_id: order_id(),
        lines: Vec::new(),
        ship_to: Address {
            name: "Ada".to_owned(),
            street: "Street 1".to_owned(),
            city: "Berlin".to_owned(),
            postcode: postcode.to_owned(),
            country: "DE".to_owned(),
        },
    }
}

fn cancel() -> CancelShipment {
    CancelShipment {
        order_id: order_id(),
    }
}

fn dispatch() -> DispatchShipment {
    DispatchShipment {
        order_id: order_id(),
    }
}

fn confirmed() -> OrderConfirmed {
    OrderConfirmed {
        order_id: order_id(),
        customer_id: "cust-001".to_owned(),
        total_minor: Money::ZERO,
        currency: Currency::Eur,
        payment_id: String::new(),
        reservation_id: String::new(),
        lines: Vec::new(),
        ship_to: prepare("10115").ship_to,
    }
}

fn order_cancelled() -> OrderCancelled {
    OrderCancelled {
        order_id: order_id(),
        customer_id: "cust-001".to_owned(),
        reason: CancelReason {
            code: "cancelled".to_owned(),
            detail: String::new(),
        },
        stage: "confirmed".to_owned(),
        compensations: Vec::new(),
    }
}

#[tokio::test]
async fn a_shipment_is_packed_dispatched_on_command_and_delivered() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    for _ in 0..9 {
        assert!(shop.messages().await.len() < 2, "it waits for the command");
        shop.carry().await;
    }
    let packed: ShipmentStatusChanged = shop.answer("r:PrepareShipment:1").await;
    assert_eq!((packed.from, packed.to), (Status::Picked, Status::Packed));
    shop.handle("r:DispatchShipment:1", &dispatch()).await;
    let dispatched: ShipmentStatusChanged = shop.answer("r:DispatchShipment:1").await;
    assert_eq!(dispatched.to, Status::Dispatched);
    shop.carry_until(&order_id(), Status::Delivered).await;
    let messages = shop.messages().await;
    let [_, _, delivered] = &messages[..] else {
        panic!("{messages:?}");
    };
    let delivered: ShipmentStatusChanged = decode(delivered).unwrap();
    assert_eq!(delivered.to, Status::Delivered);
    let statuses = shop.statuses(&order_id()).await;
    assert_eq!(statuses, Status::ALL[..8], "none failed");
}

#[tokio::test]
async fn a_cancelled_shipment_is_never_packed() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    shop.carry().await;
    shop.handle("r:PrepareShipment:undo", &cancel()).await;
    let cancelled: ShipmentStatusChanged = shop.answer("r:PrepareShipment:undo").await;
    let moved = (cancelled.from, cancelled.to);
    assert_eq!(moved, (Status::Allocated, Status::Cancelled));
    for _ in 0..9 {
        shop.carry().await;
    }
    assert_eq!(shop.messages().await.len(), 1);
    let statuses = [Status::Created, Status::Allocated, Status::Cancelled];
    assert_eq!(shop.statuses(&order_id()).await, statuses);
}

#[tokio::test]
async fn a_packed_shipment_is_cancelled_too() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    shop.carry_until(&order_id(), Status::Packed).await;
    shop.handle("r:PrepareShipment:undo", &cancel()).await;
    let cancelled: ShipmentStatusChanged = shop.answer("r:PrepareShipment:undo").await;
    let moved = (cancelled.from, cancelled.to);
    assert_eq!(moved, (Status::Packed, Status::Cancelled));
    let late = shop.try_handle("r:DispatchShipment:1", &dispatch()).await;
    assert!(late.is_err());
}

#[tokio::test]
async fn a_prepare_behind_its_cancel_ships_nothing() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:undo", &cancel()).await;
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    let cancelled: ShipmentStatusChanged = shop.answer("r:PrepareShipment:undo").await;
    assert_eq!(cancelled.to, Status::Cancelled);
    assert_eq!(shop.messages().await.len(), 1, "no answer is due");
    assert_eq!(shop.statuses(&order_id()).await, []);
}

/// The cancellation and the creation ran at the same time, so that it found no shipment.
#[tokio::test]
async fn a_shipment_that_is_no_longer_wanted_is_cancelled_quietly() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    let mut undo = Received::of(cancel());
    undo.message.id = "r:PrepareShipment:undo".try_into().unwrap();
    let mut tx = shop.db.begin().await.unwrap();
    let undoing = shop.kit.undo::<PrepareShipment>(&mut tx, &undo);
    let (begun, _) = undoing.await.unwrap();
    assert_eq!(begun, Unbegun::Begun);
    shop.db.commit(tx).await.unwrap();
    for _ in 0..9 {
        shop.carry().await;
    }
    assert_eq!(shop.messages().await.len(), 0);
    assert!(
        shop.statuses(&order_id())
            .await
            .contains(&Status::Cancelled)
    );
}

#[tokio::test]
async fn an_address_that_is_not_served_is_refused() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:1", &prepare("00000")).await;
    let refused: ShipmentStatusChanged = shop.answer("r:PrepareShipment:1").await;
    assert_eq!(refused.to, Status::Cancelled);
    assert_eq!(shop.statuses(&order_id()).await, []);
}

#[tokio::test]
async fn nothing_leaves_unpacked_and_nothing_that_left_is_cancelled() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let none = shop.try_handle("r:DispatchShipment:1", &dispatch()).await;
    assert!(none.unwrap_err().is_permanent());
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    let early = shop.try_handle("r:DispatchShipment:1", &dispatch()).await;
    assert!(!early.unwrap_err().is_permanent(), "it may be packed soon");
    shop.carry_until(&order_id(), Status::Packed).await;
    shop.handle("r:DispatchShipment:1", &dispatch()).await;
    let late = shop.try_handle("r:PrepareShipment:undo", &cancel()).await;
    assert!(late.is_err());
    let statuses = shop.statuses(&order_id()).await;
    assert_eq!(statuses.last(), Some(&Status::Dispatched));
}

#[tokio::test]
async fn the_event_and_the_command_make_one_shipment_in_either_order() {
    for event_first in [true, false] {
        let Some(shop) = Fixture::open().await else {
            return;
        };
        if event_first {
            shop.handle("confirmed", &confirmed()).await;
            shop.carry().await;
            assert_eq!(shop.statuses(&order_id()).await, [Status::Created]);
        }
        shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
        if !event_first {
            shop.handle("confirmed", &confirmed()).await;
        }
        shop.carry_until(&order_id(), Status::Packed).await;
        let packed: ShipmentStatusChanged = shop.answer("r:PrepareShipment:1").await;
        assert_eq!(packed.to, Status::Packed);
        let owner = Caller::customer("cust-001");
        let (status, _) = shop.get("/api/v1/shipments/o", owner).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn an_event_behind_the_cancel_leaves_no_shipment_behind_the_end_of_the_order() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:undo", &cancel()).await;
    shop.handle("confirmed", &confirmed()).await;
    shop.handle("cancelled", &order_cancelled()).await;
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    for _ in 0..9 {
        shop.carry().await;
    }
    let statuses = [Status::Created, Status::Cancelled];
    assert_eq!(shop.statuses(&order_id()).await, statuses);
}

#[tokio::test]
async fn a_bad_address_cancels_the_shipment_that_the_event_created() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("confirmed", &confirmed()).await;
    shop.handle("r:PrepareShipment:1", &prepare("00000")).await;
    let refused: ShipmentStatusChanged = shop.answer("r:PrepareShipment:1").await;
    assert_eq!(refused.to, Status::Cancelled);
    let statuses = [Status::Created, Status::Cancelled];
    assert_eq!(shop.statuses(&order_id()).await, statuses);
}

#[tokio::test]
async fn a_cancelled_order_is_not_prepared_any_more() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("confirmed", &confirmed()).await;
    shop.handle("cancelled", &order_cancelled()).await;
    shop.handle("cancelled again", &order_cancelled()).await;
    assert_eq!(shop.messages().await.len(), 1);
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    let refused: ShipmentStatusChanged = shop.answer("r:PrepareShipment:1").await;
    assert_eq!(refused.to, Status::Cancelled);
}

#[tokio::test]
async fn the_parcel_of_a_cancelled_order_that_has_left_is_left_to_an_operator() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("r:PrepareShipment:1", &prepare("10115")).await;
    shop.carry_until(&order_id(), Status::Packed).await;
    shop.handle("r:DispatchShipment:1", &dispatch()).await;
    let recalled = shop.try_handle("cancelled", &order_cancelled()).await;
    assert!(recalled.unwrap_err().is_permanent());
}

#[tokio::test]
async fn several_shipments_move_together() {
    // A part of a statement's rows, all of them, and one more.
    for count in [2, 16, 17] {
        let Some(shop) = Fixture::open().await else {
            return;
        };
        let order = |nth: usize| OrderId::new(format!("o-{nth}"));
        for nth in 0..count {
            let command = PrepareShipment {
                order_id: order(nth),
                ..prepare("10115")
            };
            let id = format!("run-{nth}:PrepareShipment:1");
            shop.handle(&id, &command).await;
        }
        let before = shop.statuses(&order(0)).await;
        shop.carry().await;
        let moved = shop.statuses(&order(0)).await;
        assert_eq!(moved.len(), before.len() + 1);
        for nth in 1..count {
            assert_eq!(shop.statuses(&order(nth)).await, moved, "{nth} of {count}");
        }
    }
}
