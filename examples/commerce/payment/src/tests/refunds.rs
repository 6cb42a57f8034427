//! Refunds that operators request.

use axum::{body::Body, extract::Request};
use commerce_chassis::{Caller, Round as _};
use commerce_contracts::{PaymentRefunded, RefundKind};
use mainstay_saga::Attempt;
use serde_json::json;

use super::{
    bench::{Bench, Held},
    messages::{order_cancelled, read},
};
use crate::{intent::Kind, psp::Answer};

/// 7.00 EUR are captured.
async fn captured() -> Option<Bench> {
    let bench = Bench::open().await?;
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    bench.capture().await;
    Some(bench)
}

#[tokio::test]
async fn captured_money_is_given_back_in_parts_and_never_more_than_there_is() {
    let Some(bench) = captured().await else {
        return;
    };
    let (status, answer) = bench.refund("first", 300).await;
    assert_eq!((status, &answer["status"]), (202, &json!("requested")));
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.kind, RefundKind::Refund);
    let sums = (refunded.amount_minor, refunded.cumulative_refunded_minor);
    assert_eq!((sums.0.minor(), sums.1.minor()), (300, 300));
    assert_eq!(refunded.reason, "one was broken");
    assert_eq!(bench.status().await, "partially_refunded");
    assert_eq!(bench.balance("provider").await, 400);

    let (status, problem) = bench.refund("second", 401).await;
    assert_eq!(status, 409);
    assert_eq!(
        problem["type"],
        "urn:commerce:problem:payment.refund_too_large"
    );
    assert_eq!(bench.refund("third", 400).await.0, 202);
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.cumulative_refunded_minor.minor(), 700);
    assert_eq!(bench.status().await, "refunded");
    assert_eq!(bench.balance("provider").await, 0);
    assert_eq!(bench.balance("customer").await, 0);
    assert_eq!(bench.refund("fourth", 1).await.0, 409);
    let refunds: Vec<_> = bench.at_provider().await;
    let refunds: i64 = refunds
        .iter()
        .filter(|(kind, _)| kind == "refund")
        .map(|(_, it)| it)
        .sum();
    assert_eq!(refunds, 700);
    let (_, shown) = bench
        .get("/api/v1/payments/order", Caller::operator("op"))
        .await;
    assert_eq!(
        (&shown["refunded_minor"], &shown["refunds"][1]["status"]),
        (&json!(700), &json!("refunded"))
    );
    bench.close().await;
}

#[tokio::test]
async fn a_repeated_request_is_one_refund_and_one_answer() {
    let Some(bench) = captured().await else {
        return;
    };
    let first = bench.refund("key", 300).await;
    assert_eq!(bench.refund("key", 300).await, first);
    assert_eq!(bench.refund("key", 301).await.0, 422, "another request");
    bench.settle().await;
    assert_eq!(bench.refund("key", 300).await, first);
    bench.settle().await;
    assert_eq!(bench.balance("provider").await, 400);
    bench.close().await;
}

#[tokio::test]
async fn a_key_is_one_refund_also_when_its_answer_is_forgotten() {
    let Some(bench) = captured().await else {
        return;
    };
    assert_eq!(bench.refund("key", 300).await.0, 202);
    bench.settle().await;
    bench.forget_answers().await;
    let (status, known) = bench.refund("key", 300).await;
    assert_eq!(status, 409, "{known}");
    assert_eq!(known["type"], "urn:commerce:problem:refund-known");
    assert_eq!(bench.settle().await, []);
    assert_eq!(bench.balance("provider").await, 400);
    assert_eq!(bench.refund("another", 300).await.0, 202);
    bench.close().await;
}

#[tokio::test]
async fn a_payment_has_one_refund_under_way_and_a_cancelled_order_waits_for_it() {
    let Some(bench) = captured().await else {
        return;
    };
    assert_eq!(bench.refund("first", 300).await.0, 202);
    let (status, problem) = bench.refund("second", 300).await;
    assert_eq!(status, 409);
    assert_eq!(
        problem["type"],
        "urn:commerce:problem:payment.not_refundable"
    );
    bench.try_handle(&order_cancelled()).await.unwrap_err();
    bench.settle().await;
    bench.handle(order_cancelled()).await;
    let rest: PaymentRefunded = read(&bench.settle().await);
    let sums = (rest.amount_minor, rest.cumulative_refunded_minor);
    assert_eq!((sums.0.minor(), sums.1.minor()), (400, 700));
    assert_eq!(bench.status().await, "refunded");
    bench.close().await;
}

#[tokio::test]
async fn after_a_kill_behind_the_call_the_money_is_given_back_once() {
    let Some(bench) = captured().await else {
        return;
    };
    bench.refund("first", 300).await;
    let (killed, reached, _go) = bench.far_away(Held::Answer);
    tokio::select! {
        progress = killed.round() => panic!("{progress:?}"),
        () = reached.notified() => drop(killed),
    }
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.cumulative_refunded_minor.minor(), 300);
    let refunds = bench.at_provider().await;
    assert_eq!(
        refunds.iter().filter(|(kind, _)| kind == "refund").count(),
        1
    );
    assert_eq!(bench.balance("provider").await, 400);
    bench.close().await;
}

#[tokio::test]
async fn a_refund_of_another_amount_is_not_written_as_the_one_that_was_asked_for() {
    let Some(bench) = captured().await else {
        return;
    };
    // The provider gave all back by itself, so nothing is left for the refund.
    let own = bench.call(Kind::Refund, "by the provider", 1).await;
    assert!(matches!(own, Some(Answer::Done { .. })), "{own:?}");
    assert_eq!(bench.refund("key", 300).await.0, 202);
    assert_eq!(bench.rounds(2).await, []);
    assert_eq!(bench.status().await, "refunding");
    assert_eq!(bench.balance("provider").await, 700);
    let (_, shown) = bench
        .get("/api/v1/payments/order", Caller::operator("op"))
        .await;
    assert_eq!(
        (&shown["refunded_minor"], &shown["refunds"][0]["status"]),
        (&json!(0), &json!("requested"))
    );
    bench.close().await;
}

#[tokio::test]
async fn of_two_refunds_at_the_same_time_one_is_requested() {
    let Some(bench) = captured().await else {
        return;
    };
    let (first, second) = tokio::join!(bench.refund("first", 400), bench.refund("second", 400));
    let mut answers = [first.0, second.0];
    answers.sort_unstable();
    assert_eq!(answers, [202, 409], "{first:?} {second:?}");
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.cumulative_refunded_minor.minor(), 400);
    let refunds = bench.at_provider().await;
    let refunds = refunds.iter().filter(|(kind, _)| kind == "refund");
    assert_eq!(refunds.map(|(_, amount)| amount).sum::<i64>(), 400);
    assert_eq!(bench.balance("provider").await, 300);
    bench.close().await;
}

#[tokio::test]
async fn a_refund_and_a_cancelled_order_at_the_same_time_give_all_back_once() {
    let Some(bench) = captured().await else {
        return;
    };
    let cancelled = order_cancelled();
    let (refund, handled) = tokio::join!(bench.refund("key", 400), bench.try_handle(&cancelled));
    let answers = (refund.0, handled.is_ok());
    assert!(matches!(answers, (202, false) | (409, true)), "{answers:?}");
    bench.settle().await;
    bench.handle(cancelled).await;
    bench.settle().await;
    let refunds = bench.at_provider().await;
    let refunds = refunds.iter().filter(|(kind, _)| kind == "refund");
    assert_eq!(refunds.map(|(_, amount)| amount).sum::<i64>(), 700);
    assert_eq!(bench.balance("provider").await, 0);
    assert_eq!(bench.status().await, "refunded");
    bench.close().await;
}

#[tokio::test]
async fn only_operators_refund_and_only_what_was_captured() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    assert_eq!(bench.refund("key", 300).await.0, 404, "there is no payment");
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    assert_eq!(bench.refund("key", 300).await.0, 409, "it is only held");
    bench.capture().await;
    for amount in [0, -1, i64::MAX] {
        assert_eq!(bench.refund("other", amount).await.0, 422, "{amount}");
    }
    let refund = |body: &'static str| {
        let request = Request::post("/api/v1/payments/order/refunds");
        let request = request.header("content-type", "application/json");
        request
            .header("idempotency-key", "key")
            .body(Body::from(body))
            .unwrap()
    };
    let body = r#"{"amount_minor": 300, "reason": "mine"}"#;
    let (status, _) = bench
        .request(refund(body), Caller::customer("cust-001"))
        .await;
    assert_eq!(status, 403);
    let empty = r#"{"amount_minor": 300, "reason": " "}"#;
    assert_eq!(
        bench.request(refund(empty), Caller::operator("op")).await.0,
        422
    );
    assert_eq!(
        bench.refund("key", 300).await.0,
        202,
        "a refusal is not kept"
    );
    bench.close().await;
}

#[tokio::test]
async fn a_customer_sees_the_own_payment_and_its_ledger() {
    let Some(bench) = captured().await else {
        return;
    };
    for path in [
        "/api/v1/payments/order",
        "/api/v1/payments/order/ledger",
        "/api/v1/ledger/order",
    ] {
        assert_eq!(
            bench.get(path, Caller::customer("cust-001")).await.0,
            200,
            "{path}"
        );
        assert_eq!(
            bench.get(path, Caller::operator("op")).await.0,
            200,
            "{path}"
        );
        assert_eq!(
            bench.get(path, Caller::customer("cust-002")).await.0,
            404,
            "{path}"
        );
    }
    assert_eq!(
        bench.get("/api/v1/ledger/%00", Caller::anybody()).await.0,
        404
    );
    bench.close().await;
}
