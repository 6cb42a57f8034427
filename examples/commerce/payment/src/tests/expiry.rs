//! Holds that expire before they are captured.

use commerce_chassis::Round as _;
use commerce_contracts::{DeclineStage, PaymentCaptured, PaymentDeclined, PaymentRefunded};
use mainstay_saga::Attempt;

use super::{
    bench::{Bench, Held},
    messages::{read, to_capture},
};

/// 7.00 EUR are held, by a method that chooses what becomes of that.
async fn held(method: &str) -> Option<Bench> {
    let bench = Bench::open().await?;
    bench.authorize(method, Attempt::Do(1)).await;
    Some(bench)
}

fn renewed_and_captured() -> Vec<(String, i64)> {
    let operations = ["authorize", "capture", "reauthorize"];
    operations.map(|kind| (kind.to_owned(), 700)).into()
}

/// What the provider has done, by kind.
async fn done(bench: &Bench) -> Vec<(String, i64)> {
    let mut operations = bench.at_provider().await;
    operations.sort();
    operations
}

#[tokio::test]
async fn an_expired_hold_is_renewed_and_captured_once() {
    for method in ["pm_expires", "pm_ok"] {
        let Some(bench) = held(method).await else {
            return;
        };
        if method == "pm_ok" {
            bench.age_at_provider().await;
        }
        let answers = bench.capture().await;
        let captured: PaymentCaptured = read(&answers);
        assert_eq!(captured.amount_minor.minor(), 700);
        let command = answers[0].causation_id.as_deref();
        assert_eq!(command, Some("run:CapturePayment:1"));
        assert_eq!(done(&bench).await, renewed_and_captured());
        assert_eq!(bench.status().await, "captured");
        assert_eq!(bench.balance("held").await, 0);
        assert_eq!(bench.balance("provider").await, 700);
        bench.close().await;
    }
}

#[tokio::test]
async fn a_hold_that_is_not_renewed_is_declined_and_can_be_undone() {
    let Some(bench) = held("pm_lapses").await else {
        return;
    };
    let declined: PaymentDeclined = read(&bench.capture().await);
    assert_eq!(declined.stage, DeclineStage::Capture);
    assert_eq!(
        (&*declined.code, declined.retryable),
        ("auth_expired", false)
    );
    assert_eq!(bench.status().await, "authorized");
    let _released: PaymentRefunded = read(&bench.undo().await);
    assert_eq!(bench.status().await, "voided");
    let operations = [("authorize".to_owned(), 700), ("void".to_owned(), 700)];
    assert_eq!(done(&bench).await, operations);
    assert_eq!(bench.held_at_provider().await, 0);
    assert_eq!(bench.balance("held").await, 0);
    bench.close().await;
}

#[tokio::test]
async fn after_a_kill_behind_the_renewal_it_is_renewed_once() {
    let Some(bench) = held("pm_expires").await else {
        return;
    };
    bench.handle(to_capture()).await;
    assert_eq!(bench.rounds(1).await, []);
    assert_eq!(bench.status().await, "reauthorizing");
    let (killed, reached, _go) = bench.far_away(Held::Answer);
    tokio::select! {
        progress = killed.round() => panic!("{progress:?}"),
        () = reached.notified() => drop(killed),
    }
    let _captured: PaymentCaptured = read(&bench.settle().await);
    assert_eq!(done(&bench).await, renewed_and_captured());
    bench.close().await;
}

#[tokio::test]
async fn a_late_answer_that_the_hold_had_expired_does_not_end_the_capture_behind_its_renewal() {
    let Some(bench) = held("pm_expires").await else {
        return;
    };
    bench.handle(to_capture()).await;
    let (far_away, reached, go) = bench.far_away(Held::Answer);
    let overtaking = async {
        reached.notified().await;
        assert_eq!(bench.rounds(2).await, []);
        assert_eq!(bench.status().await, "recapturing");
        go.notify_one();
    };
    let (progress, ()) = tokio::join!(far_away.round(), overtaking);
    progress.unwrap();
    assert_eq!(bench.status().await, "recapturing");
    let _captured: PaymentCaptured = read(&bench.settle().await);
    assert_eq!(done(&bench).await, renewed_and_captured());
    bench.close().await;
}
