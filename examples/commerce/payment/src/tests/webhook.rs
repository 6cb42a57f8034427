//! The provider's webhook.

use axum::{body::Body, extract::Request};
use commerce_chassis::{Caller, Round as _};
use commerce_contracts::{
    PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded, RefundKind,
};
use mainstay_messaging::Event as _;
use mainstay_saga::Attempt;
use serde_json::{Value, json};

use super::{
    bench::{Bench, Held},
    messages::{kinds, order_cancelled, read, to_authorize, to_capture},
};
use crate::{intent::Kind, psp::Answer};

const AUTHORISE: &str = "run:AuthorizePayment:1";

fn done(effect_key: &str, amount: i64) -> Value {
    json!({"effect_key": effect_key, "outcome": "done", "reference": "psp-1", "amount_minor": amount})
}

fn declined() -> Value {
    json!({"effect_key": AUTHORISE, "outcome": "declined"})
}

#[tokio::test]
async fn an_authorisation_of_unknown_outcome_is_settled_by_what_the_provider_tells() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench
        .handle(to_authorize("pm_silent", Attempt::Do(1)))
        .await;
    assert_eq!(bench.rounds(3).await, []);
    let (status, heard) = bench.webhook(&declined()).await;
    assert_eq!((status, &heard["settled"]), (200, &json!(true)));
    let answer: PaymentDeclined = read(&bench.emitted().await);
    assert_eq!(answer.code, "declined");
    assert_eq!(bench.status().await, "declined");
    assert_eq!(bench.settle().await, [], "nobody asks again");
    bench.close().await;
}

#[tokio::test]
async fn a_success_that_comes_after_the_last_look_up_leaves_nothing_held() {
    for is_before_the_void in [true, false] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        bench
            .handle(to_authorize("pm_timeout", Attempt::Do(1)))
            .await;
        let mut answers = Vec::new();
        while answers.is_empty() {
            answers = bench.rounds(1).await;
        }
        assert_eq!(read::<PaymentDeclined>(&answers).code, "no_answer");
        assert_eq!(bench.status().await, "voiding");
        if !is_before_the_void {
            assert_eq!(bench.settle().await, [], "nothing was held");
        }
        let fence = i64::MAX;
        let late = bench.call(Kind::Authorize, AUTHORISE, fence).await;
        let is_done = matches!(late, Some(Answer::Done { .. }));
        assert_eq!(is_done, is_before_the_void, "{late:?}");
        let heard = bench.webhook(&done(AUTHORISE, 700)).await;
        assert_eq!(heard.1["settled"], false);
        bench.handle(order_cancelled()).await;
        let told = bench.settle().await;
        if is_before_the_void {
            let released: PaymentRefunded = read(&told);
            assert_eq!(released.kind, RefundKind::Void);
            assert_eq!(released.amount_minor.minor(), 700);
        } else {
            assert_eq!(told, []);
        }
        assert_eq!(bench.held_at_provider().await, 0);
        assert_eq!(bench.balance("held").await, 0);
        assert_eq!(bench.status().await, "voided");
        bench.close().await;
    }
}

#[tokio::test]
async fn a_report_that_comes_twice_or_too_late_changes_nothing() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.handle(to_authorize("pm_late", Attempt::Do(1))).await;
    assert_eq!(bench.rounds(1).await, [], "the answer is lost");
    assert_eq!(
        bench.webhook(&done(AUTHORISE, 700)).await.1["settled"],
        true
    );
    let authorized: PaymentAuthorized = read(&bench.emitted().await);
    assert_eq!(authorized.provider_ref, "psp-1");
    for report in [
        done(AUTHORISE, 700),
        declined(),
        done("another", 700),
        done("nul\0", 700),
    ] {
        let (status, heard) = bench.webhook(&report).await;
        assert_eq!(
            (status, &heard["settled"]),
            (200, &json!(false)),
            "{report}"
        );
    }
    assert_eq!(bench.settle().await, []);
    assert_eq!(bench.balance("held").await, 700);
    bench.handle(to_capture()).await;
    assert_eq!(bench.webhook(&declined()).await.1["settled"], false);
    assert_eq!(kinds(&bench.settle().await), [PaymentCaptured::KIND]);
    bench.close().await;
}

#[tokio::test]
async fn a_report_and_the_answer_to_a_call_settle_once() {
    for held in [Held::Request, Held::Answer] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        bench.handle(to_authorize("pm_ok", Attempt::Do(1))).await;
        let (far_away, reached, go) = bench.far_away(held);
        let telling = async {
            reached.notified().await;
            let heard = bench.webhook(&done(AUTHORISE, 700)).await;
            assert_eq!(heard.1["settled"], true, "{held:?}");
            go.notify_one();
        };
        let (progress, ()) = tokio::join!(far_away.round(), telling);
        progress.unwrap();
        assert_eq!(kinds(&bench.settle().await), [PaymentAuthorized::KIND]);
        assert_eq!(bench.balance("held").await, 700);
        assert_eq!(bench.held_at_provider().await, 700);
        bench.close().await;
    }
}

#[tokio::test]
async fn a_report_settles_a_refund_too() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    bench.capture().await;
    let (_, answer) = bench.refund("key", 300).await;
    let refund_id = answer["refund_id"].as_str().unwrap();
    for wrong in [299, 301] {
        assert_eq!(bench.webhook(&done(refund_id, wrong)).await.0, 422);
    }
    assert_eq!(
        bench.webhook(&done(refund_id, 300)).await.1["settled"],
        true
    );
    let refunded: PaymentRefunded = read(&bench.settle().await);
    assert_eq!(refunded.amount_minor.minor(), 300);
    assert_eq!(bench.status().await, "partially_refunded");
    bench.close().await;
}

#[tokio::test]
async fn a_report_without_the_providers_signature_or_of_another_amount_is_refused() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench
        .handle(to_authorize("pm_silent", Attempt::Do(1)))
        .await;
    let body = done(AUTHORISE, 700).to_string();
    let unsigned = Request::post("/api/v1/webhooks/psp").body(Body::from(body));
    let (status, problem) = bench
        .request(unsigned.unwrap(), Caller::operator("op"))
        .await;
    assert_eq!(
        (status, &problem["type"]),
        (401, &json!("urn:commerce:problem:signature-invalid"))
    );
    for (report, expected) in [
        (done(AUTHORISE, 701), 422),
        (done(AUTHORISE, 699), 422),
        (done(AUTHORISE, -1), 422),
        (json!({"effect_key": AUTHORISE, "outcome": "done"}), 422),
        (json!({"effect_key": AUTHORISE, "outcome": "perhaps"}), 422),
        (json!([]), 422),
    ] {
        let (status, problem) = bench.webhook(&report).await;
        assert_eq!(status, expected, "{report}: {problem}");
    }
    assert_eq!(bench.status().await, "requested");
    assert_eq!(bench.emitted().await, []);
    bench.close().await;
}
