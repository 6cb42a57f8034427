//! What comes back, and its money.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use commerce_chassis::Caller;
use commerce_contracts::{
    Money, OrderCompleted, OrderConfirmed, OrderId, PaymentRefunded, RefundKind, RefundPayment,
    ShipmentStatus,
};
use mainstay_database::Transactions as _;
use mainstay_messaging::{Cause, event::decode};
use serde_json::{Value, json};

use super::{
    assert_replays,
    fixture::{Fixture, message, moved, wanted},
    history, kinds,
};
use crate::order::Status;

/// An order whose parcel is with the carrier.
async fn dispatched() -> Option<(Fixture, String)> {
    let shop = Fixture::open().await?;
    let order = shop.place().await;
    shop.answer_many(&order, 6).await;
    Some((shop, order))
}

fn refunded(order: &str, return_id: Option<&str>, minor: i64) -> PaymentRefunded {
    let amount = Money::from_minor(minor).unwrap();
    PaymentRefunded {
        payment_id: "pay".to_owned(),
        order_id: OrderId::new(order),
        refund_id: "3".to_owned(),
        kind: RefundKind::Refund,
        amount_minor: amount,
        cumulative_refunded_minor: amount,
        reason: "because".to_owned(),
        return_id: return_id.map(str::to_owned),
    }
}

#[tokio::test]
async fn an_order_whose_parcel_came_back_ends_once_its_money_was_given_back() {
    let Some((shop, order)) = dispatched().await else {
        return;
    };
    let total = shop.emitted::<OrderConfirmed>().await.total_minor;
    let came_back = moved(&order, ShipmentStatus::Returned);
    for _twice in 0..2 {
        shop.handle(message(&came_back, None)).await.unwrap();
    }
    assert_replays(&shop, &order, Status::Dispatched).await;
    let asked: RefundPayment = shop.emitted().await;
    assert_eq!(asked.amount_minor, total);
    let path = format!("/api/v1/orders/{order}");
    let shown = shop.get(&path).await;
    let lines = json!([{"sku": "SKU-001", "qty": 1}]);
    assert_eq!(
        (
            &shown["returns"][0]["status"],
            &shown["returns"][0]["lines"]
        ),
        (&json!("requested"), &lines)
    );
    // What an operator gives back is no answer.
    let by_operator = refunded(&order, None, 100);
    shop.handle(message(&by_operator, None)).await.unwrap();
    assert_replays(&shop, &order, Status::Dispatched).await;

    let rest = total.minor() - 100;
    let given_back = refunded(&order, Some(&asked.return_id), rest);
    for _twice in 0..2 {
        shop.handle(message(&given_back, None)).await.unwrap();
    }
    assert_replays(&shop, &order, Status::Completed).await;
    let way = history(&shop, &order).await;
    assert_eq!(way[6..], ["dispatched", "completed"]);
    let shown = shop.get(&path).await;
    assert_eq!(
        shown["history"][7]["reason"],
        "returned: the parcel came back"
    );
    let [returned] = &shown["returns"].as_array().unwrap()[..] else {
        panic!("{shown:#}");
    };
    assert_eq!(returned["status"], "refunded");
    assert_eq!(
        (&returned["amount_minor"], &returned["refunded_minor"]),
        (&json!(total), &json!(rest))
    );
    let completed: OrderCompleted = shop.emitted().await;
    assert_eq!(completed.lines, [], "nothing was sold");
}

#[tokio::test]
async fn a_parcel_that_came_back_is_not_delivered_any_more_and_unasked_money_is_refused() {
    let Some((shop, order)) = dispatched().await else {
        return;
    };
    let unasked = refunded(&order, Some("return-of-nobody"), 1);
    let refused = shop.handle(message(&unasked, None)).await;
    assert!(refused.unwrap_err().is_permanent());
    let came_back = moved(&order, ShipmentStatus::Returned);
    shop.handle(message(&came_back, None)).await.unwrap();
    let delivered = moved(&order, ShipmentStatus::Delivered);
    let refused = shop.handle(message(&delivered, None)).await;
    assert!(refused.unwrap_err().is_permanent());
    let newest = shop.newest().await;
    let asked: RefundPayment = decode(&newest).unwrap();
    let given_back = refunded(&order, Some(&asked.return_id), 1);
    shop.handle(message(&given_back, None)).await.unwrap();
    assert_replays(&shop, &order, Status::Completed).await;
    let kinds = kinds(&shop).await;
    let completed = kinds.iter().filter(|kind| *kind == "OrderCompleted");
    assert_eq!(completed.count(), 1);
}

/// A delivered order of three pieces of SKU-001, and of one of SKU-002.
async fn delivered() -> Option<(Fixture, String)> {
    let shop = Fixture::open().await?;
    let mut order = wanted("SKU-001");
    order["lines"] = json!([
        {"sku": "SKU-001", "quantity": 2},
        {"sku": "SKU-002", "quantity": 1},
        {"sku": "SKU-001", "quantity": 1},
    ]);
    let (_, answer) = shop.ask_for(Caller::anybody(), "k", &order).await;
    let order = answer["order_id"].as_str().unwrap().to_owned();
    shop.answer_many(&order, 6).await;
    let delivered = moved(&order, ShipmentStatus::Delivered);
    shop.handle(message(&delivered, None)).await.unwrap();
    Some((shop, order))
}

async fn ask(
    shop: &Fixture,
    caller: &str,
    order: &str,
    key: &str,
    lines: Value,
) -> (StatusCode, Value) {
    let body = json!({ "lines": lines, "reason": "too small" });
    let request = Request::post(format!("/api/v1/orders/{order}/returns"))
        .header("idempotency-key", key)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()));
    let (status, body) = shop
        .send_of(Caller::customer(caller), request.unwrap())
        .await;
    (status, serde_json::from_str(&body).unwrap())
}

fn pieces(sku: &str, quantity: i64) -> Value {
    json!([{"sku": sku, "quantity": quantity}])
}

/// Everything that was asked of payment for returns.
async fn asked_for(shop: &Fixture) -> Vec<RefundPayment> {
    let mut messages = shop.messages().await;
    messages.retain(|message| message.kind.as_str() == "RefundPayment");
    messages
        .iter()
        .map(|message| decode(message).unwrap())
        .collect()
}

#[tokio::test]
async fn a_customer_returns_what_was_bought_and_not_more() {
    let Some((shop, order)) = delivered().await else {
        return;
    };
    let path = format!("/api/v1/orders/{order}");
    let total = shop.get(&path).await["total_minor"].as_i64().unwrap();
    let first = ask(&shop, "cust-001", &order, "r1", pieces("SKU-001", 2)).await;
    assert_eq!(first.0, StatusCode::ACCEPTED, "{first:?}");
    assert_eq!(first.1["status"], "requested");
    let more = ask(&shop, "cust-001", &order, "r2", pieces("SKU-001", 2)).await;
    assert_eq!(more.0, StatusCode::CONFLICT);
    assert_eq!(
        more.1["type"],
        "urn:commerce:problem:order.return_too_large"
    );
    let rest = json!([{"sku": "SKU-001", "quantity": 1}, {"sku": "SKU-002", "quantity": 1}]);
    let second = ask(&shop, "cust-001", &order, "r2", rest).await;
    assert_eq!(second.0, StatusCode::ACCEPTED, "{second:?}");

    let asked = asked_for(&shop).await;
    let amounts: Vec<i64> = asked.iter().map(|it| it.amount_minor.minor()).collect();
    let answered = [&first, &second].map(|(_, answer)| answer["amount_minor"].as_i64().unwrap());
    assert_eq!(amounts, answered);
    // All but the shipping fee.
    assert_eq!(answered[0] + answered[1], total - 499);
    let given_back = refunded(&order, Some(&asked[0].return_id), answered[0]);
    for _twice in 0..2 {
        shop.handle(message(&given_back, None)).await.unwrap();
    }
    assert_replays(&shop, &order, Status::Completed).await;
    let shown = shop.get(&path).await;
    let statuses = [0, 1].map(|number| shown["returns"][number]["status"].clone());
    assert_eq!(statuses, [json!("refunded"), json!("requested")]);
    assert_eq!(shown["returns"][0]["reason"], "too small");
    let _once: OrderCompleted = shop.emitted().await;
}

#[tokio::test]
async fn the_money_of_a_return_is_asked_for_within_the_trace_of_the_request() {
    let Some((shop, order)) = delivered().await else {
        return;
    };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let asking = ask(&shop, "cust-001", &order, "key", pieces("SKU-001", 1));
    let (status, answer) = Cause::traced(trace).scope(asking).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let newest = shop.newest().await;
    let asked: RefundPayment = decode(&newest).unwrap();
    assert_eq!(answer["return_id"], asked.return_id);
    assert_eq!(newest.traceparent.as_deref(), Some(trace));
}

#[tokio::test]
async fn a_key_is_one_return_for_ever_and_belongs_to_its_customer_and_order() {
    let Some((shop, order)) = delivered().await else {
        return;
    };
    let first = ask(&shop, "cust-001", &order, "key", pieces("SKU-001", 1)).await;
    assert_eq!(first.0, StatusCode::ACCEPTED, "{first:?}");
    let again = ask(&shop, "cust-001", &order, "key", pieces("SKU-001", 1)).await;
    assert_eq!(again, first);
    let other = ask(&shop, "cust-001", &order, "key", pieces("SKU-001", 2)).await;
    assert_eq!(other.0, StatusCode::UNPROCESSABLE_ENTITY);
    // The answer is kept for a day; its return stays.
    let mut tx = shop.db.begin().await.unwrap();
    let forgetting = sqlx::query("DELETE FROM idempotency_records").execute(&mut *tx);
    forgetting.await.unwrap();
    shop.db.commit(tx).await.unwrap();
    let known = ask(&shop, "cust-001", &order, "key", pieces("SKU-001", 1)).await;
    assert_eq!(known.0, StatusCode::CONFLICT);
    assert_eq!(known.1["type"], "urn:commerce:problem:return-known");
    assert_eq!(asked_for(&shop).await.len(), 1);
}

#[tokio::test]
async fn only_the_customer_returns_only_what_was_delivered() {
    let Some((shop, order)) = delivered().await else {
        return;
    };
    let wrong = [
        ("cust-002", &*order, pieces("SKU-001", 1), 404, "not-found"),
        ("cust-001", "none", pieces("SKU-001", 1), 404, "not-found"),
        ("cust-001", &order, pieces("SKU-003", 1), 422, "not-ordered"),
        (
            "cust-001",
            &order,
            pieces("SKU-001", 0),
            422,
            "invalid-return",
        ),
        ("cust-001", &order, json!([]), 422, "invalid-return"),
        (
            "cust-001",
            &order,
            pieces("SKU-001", i64::MAX),
            409,
            "order.return_too_large",
        ),
    ];
    for (caller, order, lines, status, slug) in wrong {
        let (answered, problem) = ask(&shop, caller, order, "key", lines).await;
        assert_eq!(answered, status, "{problem}");
        assert_eq!(problem["type"], format!("urn:commerce:problem:{slug}"));
    }
    let without = Request::post(format!("/api/v1/orders/{order}/returns"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(
            json!({"lines": pieces("SKU-001", 1)}).to_string(),
        ));
    let (status, _) = shop
        .send_of(Caller::customer("cust-001"), without.unwrap())
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "a key is required");
    let (_, answer) = shop.ask("another").await;
    let early = answer["order_id"].as_str().unwrap();
    let (status, problem) = ask(&shop, "cust-001", early, "key", pieces("SKU-001", 1)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(problem["type"], "urn:commerce:problem:order.not_returnable");
    assert_eq!(asked_for(&shop).await, []);
}
