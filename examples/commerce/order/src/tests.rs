//! Orders from placement to end, on a database: requests, replies, and what is written.

mod access;
mod fixture;
mod products;
mod returns;
mod runs;

use axum::http::StatusCode;
use commerce_contracts::{
    DeclineStage, OrderCancelled, OrderCompleted, OrderConfirmed, ShipmentStatus, StockReserved,
};
use mainstay_database::Transactions as _;
use mainstay_eventstore::{Aggregate as _, Events as _};
use mainstay_messaging::Cause;
use serde_json::{Value, json};

use crate::{
    order::{self, Order, Status},
    orders::Happened,
    view,
};
use fixture::{Fixture, declined, message, moved};

/// The statuses that an order has entered, as a client sees them.
async fn history(shop: &Fixture, order: &str) -> Vec<String> {
    let shown = shop.get(&format!("/api/v1/orders/{order}")).await;
    let history = shown["history"].as_array().unwrap();
    let status = |entry: &Value| entry["status"].as_str().unwrap().to_owned();
    history.iter().map(status).collect()
}

/// The row of an order is what its stream folds into, and the routes show both.
async fn assert_replays(shop: &Fixture, order: &str, status: Status) {
    let mut connection = shop.db.reader().acquire().await.unwrap();
    let row = view::find(&mut connection, order).await.unwrap().unwrap();
    let events = shop.orders.history(&mut connection, order, i64::MAX as u64);
    let events = events.await.unwrap();
    let mut replayed = Order::default();
    for recorded in &events {
        replayed.apply(&recorded.event);
    }
    assert_eq!(row.version, events.last().unwrap().version);
    assert_eq!(row.status, replayed.status.unwrap().name());
    assert_eq!(row.status, status.name());
    let placed = replayed.placed.unwrap();
    assert_eq!(row.customer_id, placed.customer_id);
    assert_eq!(row.total_minor, placed.total.minor());
    assert_eq!(row.lines, serde_json::to_value(&placed.lines).unwrap());

    let shown = shop.get(&format!("/api/v1/orders/{order}/events")).await;
    let kinds = |shown: &Value| shown["kind"].as_str().unwrap().to_owned();
    let shown: Vec<_> = shown.as_array().unwrap().iter().map(kinds).collect();
    let stored = events
        .iter()
        .map(|recorded| recorded.event.encode().unwrap().kind);
    assert_eq!(shown, stored.collect::<Vec<_>>());
}

async fn kinds(shop: &Fixture) -> Vec<String> {
    let messages = shop.messages().await;
    messages
        .iter()
        .map(|message| message.kind.to_string())
        .collect()
}

#[tokio::test]
async fn an_order_is_carried_from_placement_to_delivery() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = shop.place().await;
    shop.answer_many(&order, 6).await;
    let delivered = moved(&order, ShipmentStatus::Delivered);
    shop.handle(message(&delivered, None)).await.unwrap();

    assert_replays(&shop, &order, Status::Completed).await;
    let whole_way = [
        "placed",
        "stock_reserved",
        "payment_authorized",
        "confirmed",
        "fulfilling",
        "captured",
        "dispatched",
        "completed",
    ];
    assert_eq!(history(&shop, &order).await, whole_way);
    let mut emitted = kinds(&shop).await;
    emitted.retain(|kind| kind.starts_with("Order"));
    assert_eq!(emitted, ["OrderPlaced", "OrderConfirmed", "OrderCompleted"]);
    let confirmed: OrderConfirmed = shop.emitted().await;
    assert_eq!(
        (&*confirmed.payment_id, &*confirmed.reservation_id),
        ("pay", "res")
    );
    let completed: OrderCompleted = shop.emitted().await;
    assert_eq!(completed.captured_minor, confirmed.total_minor);

    let timeline = format!("/api/v1/orders/{order}/timeline");
    assert_eq!(shop.get(&timeline).await["run"]["status"], "completed");
    assert!(shop.text(&timeline).await.contains("CapturePayment done"));
}

#[tokio::test]
async fn a_declined_order_is_cancelled_once_its_stock_is_released() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = shop.place().await;
    shop.answer(&order).await;
    let command = shop.newest().await;
    let refusal = declined(&order, DeclineStage::Authorize);
    let refusal = message(&refusal, Some(command.id.as_str()));
    shop.handle(refusal).await.unwrap();
    assert_replays(&shop, &order, Status::Cancelling).await;
    assert!(!kinds(&shop).await.contains(&"OrderCancelled".to_owned()));
    shop.answer(&order).await;

    assert_replays(&shop, &order, Status::Cancelled).await;
    let way = ["placed", "stock_reserved", "cancelling", "cancelled"];
    assert_eq!(history(&shop, &order).await, way);
    let shown = shop.get(&format!("/api/v1/orders/{order}")).await;
    assert_eq!(shown["history"][2]["reason"], "payment_declined: declined");
    let cancelled: OrderCancelled = shop.emitted().await;
    assert_eq!(cancelled.stage, "stock_reserved");
    let compensations = serde_json::to_value(&cancelled.compensations).unwrap();
    let released = json!([{"step": "ReserveStock", "outcome": "undone"}]);
    assert_eq!(compensations, released);
}

#[tokio::test]
async fn a_repeated_request_is_one_order_one_run_and_one_answer() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let first = shop.ask("k").await;
    assert_eq!(first.0, StatusCode::ACCEPTED);
    assert_eq!(shop.ask("k").await, first);
    assert_eq!(kinds(&shop).await, ["OrderPlaced", "ReserveStock"]);
}

#[tokio::test]
async fn a_stale_or_foreign_reply_changes_nothing() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = shop.place().await;
    let reserve = shop.newest().await;
    shop.answer(&order).await;
    let before = shop.messages().await.len();
    let reserved = StockReserved {
        reservation_id: "another".to_owned(),
        order_id: commerce_contracts::OrderId::new(&order),
        lines: Vec::new(),
        expires_at: None,
    };
    let another = reserve.id.as_str().replace(":1", ":2");
    for causation in [
        Some(reserve.id.as_str()),
        Some(&*another),
        Some("a-run"),
        None,
    ] {
        shop.handle(message(&reserved, causation)).await.unwrap();
    }
    assert_eq!(shop.messages().await.len(), before);
    assert_replays(&shop, &order, Status::StockReserved).await;
}

#[tokio::test]
async fn several_orders_are_written_together() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    // One, a part of a statement's rows, all of them, and one more.
    for count in [1, 2, 16, 17] {
        let mut orders = Vec::new();
        for nth in 0..count {
            let (_, answer) = shop.ask(&format!("{nth} of {count}")).await;
            orders.push(answer["order_id"].as_str().unwrap().to_owned());
        }
        let reserved = |order: &String| order::StockReserved {
            reservation_id: format!("of {order}"),
        };
        let happened = orders.iter().map(|order| Happened {
            id: order,
            events: vec![reserved(order).into()],
            cause: Cause::current(),
        });
        let mut tx = shop.db.begin().await.unwrap();
        let recording = shop.orders.record_batch(&mut tx, happened.collect());
        recording.await.unwrap();
        shop.db.commit(tx).await.unwrap();
        for order in &orders {
            assert_replays(&shop, order, Status::StockReserved).await;
        }
    }
}

#[tokio::test]
async fn a_delivery_of_an_order_that_was_not_dispatched_is_refused_for_good() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = shop.place().await;
    let delivered = moved(&order, ShipmentStatus::Delivered);
    let refused = shop.handle(message(&delivered, None)).await;
    assert!(refused.unwrap_err().is_permanent());
    assert_replays(&shop, &order, Status::Placed).await;
}

#[tokio::test]
async fn a_customer_cancels_an_order_until_its_payment_is_being_captured() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = shop.place().await;
    shop.answer_many(&order, 3).await;
    for _twice in 0..2 {
        let (status, answer) = shop.cancel(&order).await;
        assert_eq!(
            (status, &answer["status"]),
            (StatusCode::ACCEPTED, &json!("cancelling"))
        );
    }
    // Undone are PrepareShipment, which is in flight, ExtendReservation, AuthorizePayment and
    // ReserveStock.
    shop.answer_many(&order, 4).await;
    assert_replays(&shop, &order, Status::Cancelled).await;
    let cancelled: OrderCancelled = shop.emitted().await;
    assert_eq!(
        (&*cancelled.reason.code, cancelled.compensations.len()),
        ("cancelled", 4)
    );
    let (status, problem) = shop.cancel(&order).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    assert_eq!(
        problem["type"],
        "urn:commerce:problem:order.not_cancellable"
    );
    assert_eq!(shop.cancel("none").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refused_cancellation_leaves_nothing() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = shop.place().await;
    shop.answer_many(&order, 4).await;
    assert_eq!(shop.cancel(&order).await.0, StatusCode::CONFLICT);
    let timeline = shop.text(&format!("/api/v1/orders/{order}/timeline")).await;
    assert!(!timeline.contains("cancelled by"), "{timeline}");
    shop.answer_many(&order, 2).await;
    assert_replays(&shop, &order, Status::Dispatched).await;
}
