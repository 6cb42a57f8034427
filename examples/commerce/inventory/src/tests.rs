//! The handlers on a database.

mod fixture;
mod races;
mod stock;

use std::time::Duration;

use commerce_contracts::{
    ExtendReservation, OrderId, Quantity, ReleaseCause, ReleaseStock, ReserveStock, ShipmentStatus,
    ShipmentStatusChanged, Shortage, Sku, StockReleased, StockReservationFailed, StockReserved,
};

use crate::HOLD;
use fixture::Fixture;

fn reserve(order: &str, lines: &[(&str, i64)]) -> ReserveStock {
    let line = |(sku, qty): &(&str, i64)| Quantity {
        sku: Sku::new(*sku),
        qty: *qty,
    };
    ReserveStock {
        order_id: OrderId::new(order),
        lines: lines.iter().map(line).collect(),
    }
}

fn extend(order: &str) -> ExtendReservation {
    ExtendReservation {
        order_id: OrderId::new(order),
    }
}

fn release(order: &str) -> ReleaseStock {
    ReleaseStock {
        order_id: OrderId::new(order),
    }
}

fn moved(order: &str, to: ShipmentStatus) -> ShipmentStatusChanged {
    ShipmentStatusChanged {
        shipment_id: "shipment".to_owned(),
        order_id: OrderId::new(order),
        tracking_no: "1".to_owned(),
        carrier: "carrier".to_owned(),
        from: ShipmentStatus::Packed,
        to,
        location: None,
        occurred_at: 0,
    }
}

fn dispatched(order: &str) -> ShipmentStatusChanged {
    moved(order, ShipmentStatus::Dispatched)
}

fn returned(order: &str) -> ShipmentStatusChanged {
    moved(order, ShipmentStatus::Returned)
}

fn quantities(released: &StockReleased) -> Vec<(&str, i64)> {
    let lines = released.lines.iter();
    lines.map(|line| (line.sku.as_str(), line.qty)).collect()
}

#[tokio::test]
async fn all_of_an_order_is_held_or_nothing() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    let lines = [("SKU-200", 5), ("SKU-199", 11)];
    shop.handle("a:ReserveStock:1", &reserve("a", &lines)).await;
    let failed: StockReservationFailed = shop.answer("a:ReserveStock:1").await;
    let short = Shortage {
        sku: Sku::new("SKU-199"),
        requested: 11,
        available: 10,
    };
    assert_eq!(failed.shortages, [short]);
    assert_eq!(shop.level("SKU-200").await, (5, 0));
    shop.handle("x:ReserveStock:1", &reserve("x", &[("NONE", 1)]))
        .await;
    let failed: StockReservationFailed = shop.answer("x:ReserveStock:1").await;
    assert_eq!(failed.shortages[0].available, 0);

    let lines = [("SKU-200", 5), ("SKU-199", 4), ("SKU-199", 6)];
    shop.handle("b:ReserveStock:1", &reserve("b", &lines)).await;
    let reserved: StockReserved = shop.answer("b:ReserveStock:1").await;
    assert!(reserved.expires_at.is_some());
    assert_eq!(shop.level("SKU-200").await, (5, 5));
    assert_eq!(shop.level("SKU-199").await, (10, 10));
}

#[tokio::test]
async fn a_hold_is_given_back_once() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 3)]))
        .await;
    shop.handle("a:ExtendReservation:1", &extend("a")).await;
    shop.handle("a:ExtendReservation:undo", &release("a")).await;
    let released: StockReleased = shop.answer("a:ExtendReservation:undo").await;
    assert_eq!(released.cause, ReleaseCause::Compensation);
    assert_eq!(quantities(&released), [("SKU-200", 3)]);
    shop.handle("a:ReserveStock:undo", &release("a")).await;
    let released: StockReleased = shop.answer("a:ReserveStock:undo").await;
    assert_eq!(released.cause, ReleaseCause::Cancelled);
    assert_eq!(quantities(&released), []);
    assert_eq!(shop.level("SKU-200").await, (5, 0));
}

#[tokio::test]
async fn a_reserve_behind_its_release_holds_nothing() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:undo", &release("a")).await;
    let released: StockReleased = shop.answer("a:ReserveStock:undo").await;
    assert_eq!(released.cause, ReleaseCause::Cancelled);
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 3)]))
        .await;
    assert_eq!(shop.messages().await.len(), 1, "no answer is due");
    assert_eq!(shop.level("SKU-200").await, (5, 0));
}

#[tokio::test]
async fn a_hold_expires_unless_it_was_extended() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    for order in ["a", "b"] {
        let id = format!("{order}:ReserveStock:1");
        shop.handle(&id, &reserve(order, &[("SKU-200", 2)])).await;
    }
    shop.handle("a:ExtendReservation:1", &extend("a")).await;
    let reserved: StockReserved = shop.answer("a:ExtendReservation:1").await;
    assert_eq!(reserved.expires_at, None);
    assert_eq!(shop.expire(Duration::ZERO).await, [], "it is not time yet");
    let [expired] = &shop.expire(HOLD * 2).await[..] else {
        panic!("one hold expires");
    };
    assert_eq!(expired.order_id, OrderId::new("b"));
    assert_eq!(expired.cause, ReleaseCause::Expired);
    assert_eq!(quantities(expired), [("SKU-200", 2)]);
    assert_eq!(shop.level("SKU-200").await, (5, 2));
    // It was released when it expired.
    shop.handle("b:ReserveStock:undo", &release("b")).await;
    assert_eq!(shop.level("SKU-200").await, (5, 2));
}

#[tokio::test]
async fn an_expired_hold_is_taken_anew_if_there_is_stock() {
    let Some(shop) = Fixture::open(Duration::ZERO).await else {
        return;
    };
    let all = [("SKU-200", 5)];
    shop.handle("a:ReserveStock:1", &reserve("a", &all)).await;
    assert_eq!(shop.expire(Duration::from_secs(1)).await.len(), 1);
    shop.handle("b:ReserveStock:1", &reserve("b", &[("SKU-200", 2)]))
        .await;
    shop.handle("a:ExtendReservation:1", &extend("a")).await;
    let failed: StockReservationFailed = shop.answer("a:ExtendReservation:1").await;
    assert_eq!(failed.shortages[0].available, 3);
    assert_eq!(shop.level("SKU-200").await, (5, 2));

    shop.handle("b:ReserveStock:undo", &release("b")).await;
    shop.handle("a:ExtendReservation:2", &extend("a")).await;
    let reserved: StockReserved = shop.answer("a:ExtendReservation:2").await;
    assert_eq!((reserved.lines[0].qty, reserved.expires_at), (5, None));
    assert_eq!(shop.level("SKU-200").await, (5, 5));
    assert_eq!(shop.expire(HOLD).await, [], "it is firm");
}

#[tokio::test]
async fn goods_that_come_back_are_on_their_shelf_once_and_told() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 5)]))
        .await;
    shop.handle("a:ExtendReservation:1", &extend("a")).await;
    let early = shop.try_handle("event-0", &returned("a")).await;
    assert!(early.unwrap_err().is_permanent(), "it has not left");
    assert_eq!(shop.level("SKU-200").await, (5, 5));
    shop.handle("event-1", &dispatched("a")).await;
    assert_eq!(shop.level("SKU-200").await, (0, 0));
    for event in ["event-2", "event-3"] {
        shop.handle(event, &returned("a")).await;
        assert_eq!(shop.level("SKU-200").await, (5, 0));
    }
    let told = |available, cause: &str| ("SKU-200".to_owned(), available, cause.to_owned());
    let levels = [told(0, "reserved"), told(5, "returned")];
    assert_eq!(shop.levels().await, levels);
    let of_return = "SELECT movement_key, quantity FROM stock_movements
                     WHERE sku = 'SKU-200' ORDER BY movement_key";
    let movements: Vec<(String, i64)> = sqlx::query_as(of_return)
        .fetch_all(shop.db.reader())
        .await
        .unwrap();
    let named = |name: &str, quantity| (name.to_owned(), quantity);
    let expected = [
        named("dispatch:a:SKU-200", -5),
        named("opening:SKU-200", 5),
        named("return:a:SKU-200", 5),
    ];
    assert_eq!(movements, expected);
}

#[tokio::test]
async fn goods_that_leave_leave_once_and_are_not_released() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 3)]))
        .await;
    shop.handle("a:ExtendReservation:1", &extend("a")).await;
    for event in ["event-1", "event-2"] {
        shop.handle(event, &dispatched("a")).await;
        assert_eq!(shop.level("SKU-200").await, (2, 0));
    }
    shop.handle("a:ReserveStock:undo", &release("a")).await;
    assert_eq!(shop.level("SKU-200").await, (2, 0));

    let stranger = shop.try_handle("event-3", &dispatched("stranger")).await;
    assert!(stranger.unwrap_err().is_permanent());
}
