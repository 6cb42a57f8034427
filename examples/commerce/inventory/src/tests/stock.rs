//! Stock that customers see, operators move, and the catalog names.

use axum::http::{Method, StatusCode};
use commerce_chassis::Caller;
use commerce_contracts::{
    CancelReason, Currency, Money, OrderCancelled, OrderId, ProductChanged, ProductPrice,
    ProductStatus, ReleaseCause, Sku, StockReleased, StockReservationFailed, StockReserved,
    TaxClass,
};
use mainstay_database::Transactions as _;
use serde_json::{Value, json};

use super::{fixture::Fixture, release, reserve};
use crate::HOLD;

fn cancelled(order: &str) -> OrderCancelled {
    OrderCancelled {
        order_id: OrderId::new(order),
        customer_id: "cust-001".to_owned(),
        reason: CancelReason {
            code: "cancelled".to_owned(),
            detail: String::new(),
        },
        stage: "placed".to_owned(),
        compensations: Vec::new(),
    }
}

fn product(sku: &str, version: i64, status: ProductStatus) -> ProductChanged {
    ProductChanged {
        product_id: "prod".to_owned(),
        sku: Sku::new(sku),
        name: "Kettle".to_owned(),
        status,
        prices: vec![ProductPrice {
            currency: Currency::Eur,
            price_minor: Money::ZERO,
        }],
        tax_class: TaxClass::Standard,
        version,
        changed: Vec::new(),
    }
}

async fn adjust(shop: &Fixture, key: &str, sku: &str, quantity: i64) -> (StatusCode, Value) {
    let path = format!("/api/v1/stock/{sku}/adjust");
    let body = json!({ "quantity": quantity });
    let operator = Caller::operator("op");
    shop.send(operator, Method::POST, &path, Some((key, body)))
        .await
}

async fn show(shop: &Fixture, sku: &str) -> Value {
    let path = format!("/api/v1/stock/{sku}");
    let shown = shop.send(Caller::anybody(), Method::GET, &path, None);
    shown.await.1
}

#[tokio::test]
async fn only_stock_that_customers_see_change_is_told() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    let lines = [("SKU-001", 500), ("SKU-199", 1), ("SKU-200", 5)];
    shop.handle("a:ReserveStock:1", &reserve("a", &lines)).await;
    let told = |sku: &str, available, cause: &str| (sku.to_owned(), available, cause.to_owned());
    let taken = [
        told("SKU-199", 9, "reserved"),
        told("SKU-200", 0, "reserved"),
    ];
    assert_eq!(shop.levels().await, taken);
    // What is taken and given back in one transaction was never seen.
    let lines = [("SKU-198", 15), ("SKU-200", 1)];
    shop.handle("b:ReserveStock:1", &reserve("b", &lines)).await;
    let _failed: StockReservationFailed = shop.answer("b:ReserveStock:1").await;
    assert_eq!(shop.levels().await, taken);
    let before = show(&shop, "SKU-200").await["version"].as_i64().unwrap();
    shop.handle("a:ReserveStock:undo", &release("a")).await;
    let back = [
        told("SKU-199", 10, "released"),
        told("SKU-200", 5, "released"),
    ];
    assert_eq!(shop.levels().await[2..], back);
    let after = show(&shop, "SKU-200").await;
    assert_eq!(after["version"], before + 1);
    assert_eq!(after["availability"], "low");
}

#[tokio::test]
async fn an_adjustment_is_made_once_and_told() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 3)]))
        .await;
    let first = adjust(&shop, "delivery-1", "SKU-200", 20).await;
    assert_eq!(first.0, StatusCode::OK, "{first:?}");
    assert_eq!(
        (&first.1["on_hand"], &first.1["available"]),
        (&json!(25), &json!(22))
    );
    assert_eq!(adjust(&shop, "delivery-1", "SKU-200", 20).await, first);
    assert_eq!(shop.level("SKU-200").await, (25, 3));
    let (status, _) = adjust(&shop, "delivery-1", "SKU-200", 21).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let told = ("SKU-200".to_owned(), 22, "adjusted".to_owned());
    assert_eq!(shop.levels().await, [told]);
    // The answer is kept for a day; its movement stays.
    let mut tx = shop.db.begin().await.unwrap();
    let forgetting = sqlx::query("DELETE FROM idempotency_records").execute(&mut *tx);
    forgetting.await.unwrap();
    shop.db.commit(tx).await.unwrap();
    let (status, known) = adjust(&shop, "delivery-1", "SKU-200", 20).await;
    assert_eq!(status, StatusCode::CONFLICT, "{known}");
    assert_eq!(shop.level("SKU-200").await, (25, 3));
}

#[tokio::test]
async fn pieces_that_are_reserved_are_not_taken_away() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 3)]))
        .await;
    let (status, refused) = adjust(&shop, "a", "SKU-200", -3).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["type"], "urn:commerce:problem:stock-reserved");
    assert_eq!(shop.level("SKU-200").await, (5, 3));
    // A refused movement uses no key.
    let (status, _) = adjust(&shop, "a", "SKU-200", -3).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, _) = adjust(&shop, "b", "SKU-200", -2).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shop.level("SKU-200").await, (3, 3));
    for (sku, quantity, expected) in [
        ("NONE", 1, StatusCode::NOT_FOUND),
        ("SKU-001", 0, StatusCode::UNPROCESSABLE_ENTITY),
        ("SKU-001", i64::MIN, StatusCode::UNPROCESSABLE_ENTITY),
        ("SKU-001", 999_999_999, StatusCode::CONFLICT),
    ] {
        let (status, _) = adjust(&shop, "c", sku, quantity).await;
        assert_eq!(status, expected, "{sku} {quantity}");
    }
    let path = "/api/v1/stock/SKU-001/adjust";
    let body = Some(("d", json!({"quantity": 1})));
    let customer = Caller::customer("cust-001");
    let (status, _) = shop.send(customer, Method::POST, path, body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_cancelled_order_holds_nothing() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 3)]))
        .await;
    for event in ["event-1", "event-2"] {
        shop.handle(event, &cancelled("a")).await;
        assert_eq!(shop.level("SKU-200").await, (5, 0));
    }
    let mut released = shop.messages().await;
    released.retain(|message| message.kind.as_str() == "StockReleased");
    let [released] = &released[..] else {
        panic!("it is told once: {released:?}");
    };
    let released: StockReleased = mainstay_messaging::event::decode(released).unwrap();
    assert_eq!(released.cause, ReleaseCause::Compensation);
    assert_eq!(released.lines[0].qty, 3);
    // The saga has released it before, or nothing was ever reserved.
    shop.handle("b:ReserveStock:1", &reserve("b", &[("SKU-200", 1)]))
        .await;
    shop.handle("b:ReserveStock:undo", &release("b")).await;
    let before = shop.messages().await.len();
    shop.handle("event-3", &cancelled("b")).await;
    shop.handle("event-4", &cancelled("stranger")).await;
    assert_eq!(shop.messages().await.len(), before);
    assert_eq!(shop.level("SKU-200").await, (5, 0));
}

#[tokio::test]
async fn stock_follows_the_catalog_and_never_an_older_version() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    let active = product("KETTLE-1", 1, ProductStatus::Active);
    shop.handle("event-1", &active).await;
    let (status, _) = adjust(&shop, "delivery", "KETTLE-1", 30).await;
    assert_eq!(status, StatusCode::OK);
    let order = |id: &str| reserve(id, &[("KETTLE-1", 1)]);
    shop.handle("a:ReserveStock:1", &order("a")).await;
    let _reserved: StockReserved = shop.answer("a:ReserveStock:1").await;

    let retired = product("KETTLE-1", 3, ProductStatus::Retired);
    shop.handle("event-3", &retired).await;
    let earlier = product("KETTLE-1", 2, ProductStatus::Active);
    shop.handle("event-2", &earlier).await;
    assert_eq!(show(&shop, "KETTLE-1").await["status"], "retired");
    shop.handle("b:ReserveStock:1", &order("b")).await;
    let failed: StockReservationFailed = shop.answer("b:ReserveStock:1").await;
    assert_eq!(failed.shortages[0].available, 0);
    // What was reserved before stays so.
    assert_eq!(shop.level("KETTLE-1").await, (30, 1));

    shop.handle("event-4", &product("KETTLE-1", 4, ProductStatus::Active))
        .await;
    shop.handle("c:ReserveStock:1", &order("c")).await;
    let _reserved: StockReserved = shop.answer("c:ReserveStock:1").await;
}

#[tokio::test]
async fn a_reservation_is_shown_to_operators() {
    let Some(shop) = Fixture::open(HOLD).await else {
        return;
    };
    shop.handle("a:ReserveStock:1", &reserve("a", &[("SKU-200", 3)]))
        .await;
    let path = "/api/v1/reservations/a";
    let operator = Caller::operator("op");
    let (_, shown) = shop.send(operator.clone(), Method::GET, path, None).await;
    let lines = json!([{"sku": "SKU-200", "quantity": 3}]);
    assert_eq!((&shown["state"], &shown["lines"]), (&json!("held"), &lines));
    assert!(shown["expires_at"].is_string(), "{shown}");
    let none = "/api/v1/reservations/b";
    let (status, _) = shop.send(operator, Method::GET, none, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let customer = Caller::customer("cust-001");
    let (status, _) = shop.send(customer, Method::GET, path, None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
