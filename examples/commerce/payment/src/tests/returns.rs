//! Refunds that returns ask for.

use commerce_chassis::{Caller, Round as _};
use commerce_contracts::{PaymentRefunded, RefundKind};
use mainstay_saga::Attempt;
use serde_json::json;

use super::{
    bench::{Bench, Held},
    messages::{read, to_capture, to_refund},
};

/// 7.00 EUR are captured.
async fn captured() -> Option<Bench> {
    let bench = Bench::open().await?;
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    bench.capture().await;
    Some(bench)
}

/// What the provider gave back.
async fn given_back(bench: &Bench) -> Vec<i64> {
    let operations = bench.at_provider().await;
    let refunds = operations.into_iter().filter(|(kind, _)| kind == "refund");
    refunds.map(|(_, amount)| amount).collect()
}

#[tokio::test]
async fn a_return_has_one_refund_however_often_it_is_asked_for() {
    let Some(bench) = captured().await else {
        return;
    };
    // The second message has an id of its own, so the inbox lets it pass.
    bench.handle(to_refund("return-1", 700)).await;
    bench.handle(to_refund("return-1", 700)).await;
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.return_id.as_deref(), Some("return-1"));
    assert_eq!(refunded.kind, RefundKind::Refund);
    assert_eq!(refunded.amount_minor.minor(), 700);
    bench.handle(to_refund("return-1", 700)).await;
    assert_eq!(bench.settle().await, []);
    assert_eq!(given_back(&bench).await, [700]);
    assert_eq!(bench.balance("provider").await, 0);
    assert_eq!(bench.status().await, "refunded");
    bench.close().await;
}

#[tokio::test]
async fn a_return_gets_what_an_operator_left_even_if_that_is_nothing() {
    let Some(bench) = captured().await else {
        return;
    };
    // A client's key is none of a return.
    assert_eq!(bench.refund("return-1", 300).await.0, 202);
    // It waits for the refund that is under way.
    let asked = to_refund("return-1", 700);
    bench.try_handle(&asked).await.unwrap_err();
    bench.settle().await;
    bench.handle(asked).await;
    let refunded: PaymentRefunded = read(&bench.settle().await);
    let sums = (refunded.amount_minor, refunded.cumulative_refunded_minor);
    assert_eq!((sums.0.minor(), sums.1.minor()), (400, 700));
    assert_eq!(refunded.return_id.as_deref(), Some("return-1"));

    bench.handle(to_refund("return-2", 1)).await;
    let nothing: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(nothing.return_id.as_deref(), Some("return-2"));
    assert_eq!(nothing.amount_minor.minor(), 0);
    assert_eq!(given_back(&bench).await, [300, 400]);
    let path = "/api/v1/payments/order";
    let (_, shown) = bench.get(path, Caller::operator("op")).await;
    let statuses = shown["refunds"].as_array().unwrap().iter();
    assert!(statuses.clone().all(|it| it["status"] == "refunded"));
    assert_eq!(
        (statuses.count(), &shown["refunded_minor"]),
        (3, &json!(700))
    );
    bench.close().await;
}

#[tokio::test]
async fn a_return_waits_for_the_refund_of_another_and_counts_no_attempt() {
    let Some(bench) = captured().await else {
        return;
    };
    bench.handle(to_refund("return-1", 300)).await;
    let second = to_refund("return-2", 200);
    let waits = bench.try_handle(&second).await.unwrap_err();
    assert!(!waits.counts_attempt() && !waits.is_permanent(), "{waits}");
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.return_id.as_deref(), Some("return-1"));

    bench.handle(second).await;
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.return_id.as_deref(), Some("return-2"));
    assert_eq!(refunded.cumulative_refunded_minor.minor(), 500);
    assert_eq!(given_back(&bench).await, [300, 200]);
    bench.close().await;
}

#[tokio::test]
async fn a_return_waits_until_the_capture_is_decided() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.authorize("pm_expires", Attempt::Do(1)).await;
    bench.handle(to_capture()).await;
    let asked = to_refund("return-1", 300);
    for status in ["capturing", "reauthorizing", "recapturing"] {
        assert_eq!(bench.status().await, status);
        let waits = bench.try_handle(&asked).await.unwrap_err();
        assert!(!waits.counts_attempt() && !waits.is_permanent(), "{waits}");
        bench.rounds(1).await;
    }
    assert_eq!(bench.status().await, "captured");
    bench.handle(asked).await;
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.amount_minor.minor(), 300);
    assert_eq!(given_back(&bench).await, [300]);
    bench.close().await;
}

#[tokio::test]
async fn after_a_kill_behind_the_call_the_money_of_a_return_is_given_back_once() {
    let Some(bench) = captured().await else {
        return;
    };
    bench.handle(to_refund("return-1", 300)).await;
    let (killed, reached, _go) = bench.far_away(Held::Answer);
    tokio::select! {
        progress = killed.round() => panic!("{progress:?}"),
        () = reached.notified() => drop(killed),
    }
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.cumulative_refunded_minor.minor(), 300);
    assert_eq!(given_back(&bench).await, [300]);
    assert_eq!(bench.status().await, "partially_refunded");
    bench.close().await;
}
