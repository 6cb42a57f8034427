//! Undoing a payment, whatever its state.

use async_trait::async_trait;
use commerce_chassis::Round as _;
use commerce_contracts::{PaymentRefunded, RefundKind};
use mainstay_messaging::{Event as _, Message};
use mainstay_saga::{Attempt, laws};

use super::{
    bench::{Bench, Held},
    messages::{command, kinds, order_cancelled, read, to_authorize, to_capture, to_undo},
};

#[tokio::test]
async fn an_undo_voids_a_hold() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    let returned: PaymentRefunded = read(&bench.undo().await);
    assert_eq!(returned.kind, RefundKind::Void);
    assert_eq!(returned.amount_minor.minor(), 700);
    assert_eq!(bench.status().await, "voided");
    assert_eq!(bench.held_at_provider().await, 0);
    assert_eq!(bench.balance("held").await, 0);
    bench.close().await;
}

#[tokio::test]
async fn an_undo_refunds_a_capture() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    bench.capture().await;
    let returned: PaymentRefunded = read(&bench.undo().await);
    assert_eq!(returned.kind, RefundKind::Refund);
    assert_eq!(returned.cumulative_refunded_minor.minor(), 700);
    assert_eq!(bench.status().await, "refunded");
    assert_eq!(bench.balance("provider").await, 0);
    assert_eq!(bench.balance("customer").await, 0);
    bench.close().await;
}

#[tokio::test]
async fn an_undo_without_a_hold_answers_that_nothing_was_given_back() {
    let void = ("void".to_owned(), 0);
    for (method, done) in [("pm_declined", vec![]), ("pm_timeout", vec![void])] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        bench.authorize(method, Attempt::Do(1)).await;
        let returned: PaymentRefunded = read(&bench.undo().await);
        assert_eq!(returned.kind, RefundKind::Void);
        assert_eq!(returned.amount_minor.minor(), 0);
        assert_eq!(bench.at_provider().await, done, "{method}");
        bench.close().await;
    }
}

#[tokio::test]
async fn an_authorisation_that_comes_behind_its_undo_does_nothing() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    let returned: PaymentRefunded = read(&bench.undo().await);
    assert_eq!(returned.amount_minor.minor(), 0);
    assert_eq!(bench.authorize("pm_ok", Attempt::Do(1)).await, []);
    assert_eq!(bench.at_provider().await, []);
    bench.close().await;
}

#[tokio::test]
async fn an_authorisation_whose_answer_is_lost_is_voided() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.handle(to_authorize("pm_late", Attempt::Do(1))).await;
    assert_eq!(bench.rounds(1).await, []);
    assert_eq!(bench.held_at_provider().await, 700);
    let answers = bench.undo().await;
    let returned: PaymentRefunded = read(&answers);
    assert_eq!(returned.amount_minor.minor(), 700);
    assert_eq!(bench.held_at_provider().await, 0);
    assert_eq!(bench.balance("held").await, 0);
    bench.close().await;
}

#[tokio::test]
async fn an_authorisation_in_flight_is_overtaken_by_its_undo() {
    for held in [Held::Request, Held::Answer] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        bench.handle(to_authorize("pm_ok", Attempt::Do(1))).await;
        let (far_away, reached, go) = bench.far_away(held);
        let undoing = async {
            reached.notified().await;
            let answers = bench.undo().await;
            go.notify_one();
            answers
        };
        let (progress, answers) = tokio::join!(far_away.round(), undoing);
        progress.unwrap();
        assert_eq!(kinds(&answers), [PaymentRefunded::KIND], "{held:?}");
        assert_eq!(bench.settle().await, [], "{held:?}");
        assert_eq!(bench.held_at_provider().await, 0, "{held:?}");
        assert_eq!(bench.balance("held").await, 0);
        assert_eq!(bench.status().await, "voided");
        bench.close().await;
    }
}

#[tokio::test]
async fn a_silent_provider_is_asked_until_the_undo() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench
        .handle(to_authorize("pm_silent", Attempt::Do(1)))
        .await;
    assert_eq!(bench.rounds(30).await, []);
    assert_eq!(bench.status().await, "requested");
    assert_eq!(
        bench.requested().await,
        1,
        "it is looked up, not requested again"
    );
    let returned: PaymentRefunded = read(&bench.undo().await);
    assert_eq!(returned.amount_minor.minor(), 0);
    assert_eq!(bench.status().await, "voided");
    assert_eq!(bench.held_at_provider().await, 0);
    bench.close().await;
}

#[tokio::test]
async fn while_a_capture_is_under_way_an_undo_waits() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench.authorize("pm_ok", Attempt::Do(1)).await;
    bench.handle(to_capture()).await;
    bench.try_handle(&to_undo()).await.unwrap_err();
    bench.settle().await;
    let returned: PaymentRefunded = read(&bench.undo().await);
    assert_eq!(returned.kind, RefundKind::Refund);
    bench.close().await;
}

#[tokio::test]
async fn the_handlers_keep_the_laws_of_a_participant() {
    for method in ["pm_ok", "pm_late", "pm_declined", "pm_flaky", "pm_timeout"] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        bench.close().await;
        let fresh = async || Participant(Bench::open().await.unwrap());
        let command = command(method);
        Box::pin(laws::participant(fresh, &command)).await.unwrap();
    }
}

#[tokio::test]
async fn a_cancelled_order_has_its_hold_and_its_capture_given_back_without_an_undo() {
    for (is_captured, kind) in [(false, RefundKind::Void), (true, RefundKind::Refund)] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        bench.authorize("pm_ok", Attempt::Do(1)).await;
        if is_captured {
            bench.capture().await;
        }
        bench.handle(order_cancelled()).await;
        let messages = bench.settle().await;
        let returned: PaymentRefunded = read(&messages);
        assert_eq!((returned.kind, returned.amount_minor.minor()), (kind, 700));
        assert_eq!(messages[0].causation_id, None, "no undo is answered");
        assert_eq!(bench.held_at_provider().await, 0);
        for account in ["held", "provider"] {
            assert_eq!(bench.balance(account).await, 0, "{account}");
        }
        // The undo comes late, and finds nothing.
        let returned: PaymentRefunded = read(&bench.undo().await);
        assert_eq!(returned.amount_minor.minor(), 0);
        let in_all = if is_captured { 700 } else { 0 };
        assert_eq!(returned.cumulative_refunded_minor.minor(), in_all);
        bench.close().await;
    }
}

#[tokio::test]
async fn a_cancelled_order_whose_payment_is_nothing_changes_nothing() {
    for method in [None, Some("pm_declined"), Some("pm_ok")] {
        let Some(bench) = Bench::open().await else {
            return;
        };
        if let Some(method) = method {
            bench.authorize(method, Attempt::Do(1)).await;
            bench.undo().await;
        }
        bench.handle(order_cancelled()).await;
        assert_eq!(bench.settle().await, [], "{method:?}");
        bench.close().await;
    }
}

struct Participant(Bench);

#[async_trait]
impl laws::Subject for Participant {
    async fn handle(&mut self, message: &Message) -> Result<Vec<Message>, String> {
        let handled = self.0.try_handle(message).await;
        handled.map_err(|error| error.to_string())?;
        Ok(self.0.settle().await)
    }

    async fn effect(&mut self) -> Result<String, String> {
        let (held, booked) = (
            self.0.held_at_provider().await,
            self.0.balance("held").await,
        );
        Ok(format!("{held} held, {booked} booked"))
    }
}
