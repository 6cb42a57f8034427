//! What comes back, and its money.

use commerce_contracts::{
    Money, OrderCompleted, OrderConfirmed, OrderId, PaymentRefunded, RefundKind, RefundPayment,
    ShipmentStatus,
};
use mainstay_messaging::event::decode;
use serde_json::json;

use super::{
    assert_replays,
    fixture::{Fixture, message, moved},
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
