//! The handlers and the settling on real tables, with the simulated provider.

mod bench;
mod expiry;
mod messages;
mod refunds;
mod returns;
mod several;
mod undo;
mod webhook;

use commerce_chassis::Round as _;
use commerce_contracts::{PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentRefunded};
use mainstay_messaging::Event as _;
use mainstay_saga::Attempt;

use crate::{intent::Kind, psp::Answer};
use bench::{Bench, Held};
use messages::{kinds, read, to_authorize};

#[tokio::test]
async fn money_is_held_and_captured_once_and_booked() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    let authorized = bench.authorize("pm_ok", Attempt::Do(1)).await;
    assert_eq!(kinds(&authorized), [PaymentAuthorized::KIND]);
    let command = authorized[0].causation_id.as_deref();
    assert_eq!(command, Some("run:AuthorizePayment:1"));
    let captured = bench.capture().await;
    assert_eq!(kinds(&captured), [PaymentCaptured::KIND]);
    assert_eq!(bench.status().await, "captured");
    let done = [("authorize".to_owned(), 700), ("capture".to_owned(), 700)];
    assert_eq!(bench.at_provider().await, done);
    assert_eq!(bench.balance("held").await, 0);
    assert_eq!(bench.balance("provider").await, 700);
    bench.close().await;
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_the_money_is_held_once() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    let authorized = bench.authorize("pm_late", Attempt::Do(1)).await;
    assert_eq!(kinds(&authorized), [PaymentAuthorized::KIND]);
    let done = [("authorize".to_owned(), 700)];
    assert_eq!(bench.at_provider().await, done);
    assert_eq!(bench.requested().await, 1);
    bench.close().await;
}

#[tokio::test]
async fn after_a_kill_behind_the_call_the_money_is_held_once() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.handle(to_authorize("pm_ok", Attempt::Do(1))).await;
    let (killed, reached, _go) = bench.far_away(Held::Answer);
    tokio::select! {
        progress = killed.round() => panic!("{progress:?}"),
        () = reached.notified() => drop(killed),
    }
    assert_eq!(bench.held_at_provider().await, 700);
    let answers = bench.settle().await;
    assert_eq!(kinds(&answers), [PaymentAuthorized::KIND]);
    let done = [("authorize".to_owned(), 700)];
    assert_eq!(bench.at_provider().await, done);
    bench.close().await;
}

#[tokio::test]
async fn only_the_refusal_of_an_unavailable_provider_is_worth_another_attempt() {
    for (method, code, requests) in [
        ("pm_declined", "declined", 1),
        ("pm_3ds", "requires_action", 1),
        ("pm_timeout", "no_answer", 3),
        ("pm_flaky", "unavailable", 1),
    ] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        let answers = bench.authorize(method, Attempt::Do(1)).await;
        let declined: PaymentDeclined = read(&answers);
        assert_eq!((&*declined.code, declined.attempt), (code, 1));
        assert_eq!(declined.retryable, method == "pm_flaky");
        assert_eq!(bench.requested().await, requests, "{method}");
        // Without an answer, the provider may still do it.
        let (done, status) = match method {
            "pm_timeout" => (vec![("void".to_owned(), 0)], "voided"),
            _ => (Vec::new(), "declined"),
        };
        assert_eq!(bench.at_provider().await, done);
        assert_eq!(bench.status().await, status);
        bench.close().await;
    }
}

#[tokio::test]
async fn another_attempt_is_another_operation() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    for attempt in 1..=2 {
        let answers = bench.authorize("pm_flaky", Attempt::Do(attempt)).await;
        assert_eq!(read::<PaymentDeclined>(&answers).attempt, attempt);
    }
    let answers = bench.authorize("pm_flaky", Attempt::Do(3)).await;
    let authorized: PaymentAuthorized = read(&answers);
    assert_eq!(authorized.provider_ref, "psp-run:AuthorizePayment:3");
    let done = [("authorize".to_owned(), 700)];
    assert_eq!(bench.at_provider().await, done);
    bench.close().await;
}

#[tokio::test]
async fn a_late_answer_to_an_earlier_attempt_is_ignored() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.handle(to_authorize("pm_flaky", Attempt::Do(1))).await;
    let (far_away, reached, go) = bench.far_away(Held::Answer);
    let overtaking = async {
        reached.notified().await;
        let declined: PaymentDeclined = read(&bench.settle().await);
        assert!(declined.retryable);
        bench.handle(to_authorize("pm_flaky", Attempt::Do(2))).await;
        go.notify_one();
    };
    let (progress, ()) = tokio::join!(far_away.round(), overtaking);
    progress.unwrap();
    assert_eq!(bench.status().await, "requested");
    let declined: PaymentDeclined = read(&bench.settle().await);
    assert_eq!(declined.attempt, 2);
    assert_eq!(
        bench.requested().await,
        2,
        "an effect key is refused for good"
    );
    bench.close().await;
}

#[tokio::test]
async fn a_capture_is_refused_without_a_hold() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    let declined: PaymentDeclined = read(&bench.capture().await);
    assert_eq!(declined.code, "not_authorized");
    bench.close().await;
}

#[tokio::test]
async fn a_capture_that_the_provider_refuses_leaves_a_payment_to_be_undone() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    let voided = bench.call(Kind::Void, "by the provider", 1).await;
    assert!(matches!(voided, Some(Answer::Done { .. })), "{voided:?}");
    let declined: PaymentDeclined = read(&bench.capture().await);
    assert_eq!((&*declined.code, declined.retryable), ("declined", false));
    let returned: PaymentRefunded = read(&bench.undo().await);
    assert_eq!(returned.amount_minor.minor(), 0);
    assert_eq!(bench.balance("held").await, 0);
    bench.close().await;
}

#[tokio::test]
async fn a_former_holder_of_a_key_is_refused_by_the_provider() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    let unavailable = Some(Answer::Unavailable);
    for (fence, key, expected) in [
        (7, "a", unavailable.clone()),
        (6, "a", None),
        (6, "b", unavailable),
        (6, "a", None),
    ] {
        assert_eq!(bench.call(Kind::Authorize, key, fence).await, expected);
    }
    assert_eq!(
        bench.requested().await,
        2,
        "the refused calls count for nothing"
    );
    let done = bench.call(Kind::Authorize, "c", 7).await;
    assert!(matches!(done, Some(Answer::Done { .. })), "{done:?}");
    assert_eq!(bench.call(Kind::Authorize, "c", 6).await, None);
    bench.close().await;
}
