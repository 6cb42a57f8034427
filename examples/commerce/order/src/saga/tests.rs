//! The steps by their definition, and runs against the order that follows them.

use std::time::Duration;

use commerce_contracts::Sku;
use mainstay_saga::{
    Attempt, Signature, Status as RunStatus,
    check::{Faults, check_all_interleavings},
    engine::{Input, Reply, advance},
    state::State,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::order::{Order, Status, tests::placed};

#[test]
fn every_interleaving_ends_all_done_or_all_undone() {
    let explored = check_all_interleavings(&place_order(), Faults::all()).unwrap();
    assert!(
        explored.completed > 0 && explored.undone > 0,
        "{explored:?}"
    );
}

fn document(kind: &str, json: &Value) -> Document {
    Document::new(kind, 1, &json.to_string()).unwrap()
}

/// The results of the steps, in their order.
fn result(step: usize) -> Document {
    let order_id = "o-1";
    let stock =
        json!({"reservation_id": "res-o-1", "order_id": order_id, "lines": [], "expires_at": null});
    let shipment = json!({"shipment_id": "s", "order_id": order_id, "tracking_no": "t", "carrier": "c",
        "from": "picked", "to": "packed", "location": null, "occurred_at": 0});
    match step {
        0 | 2 => document(StockReserved::KIND, &stock),
        1 => {
            let payment = json!({"payment_id": "pay-o-1", "order_id": order_id, "amount_minor": 1, "currency": "EUR",
                "provider": "p", "provider_ref": "r", "auth_expires_at": 0});
            document(PaymentAuthorized::KIND, &payment)
        }
        4 => document("PaymentCaptured", &json!({})),
        _ => document(ShipmentStatusChanged::KIND, &shipment),
    }
}

/// The refusals of the steps, in their order.
fn refusal(step: usize) -> Document {
    match step {
        0 | 2 => {
            let short = json!([{"sku": "SKU-200", "requested": 6, "available": 5}]);
            let refusal = json!({"order_id": "o-1", "shortages": short});
            document(StockReservationFailed::KIND, &refusal)
        }
        1 | 4 => {
            let declined = json!({"payment_id": "pay-o-1", "order_id": "o-1", "stage": "authorize",
                "code": "declined", "retryable": false, "attempt": 1});
            document(PaymentDeclined::KIND, &declined)
        }
        _ => result(step),
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Done,
    RefuseForNow,
    Refuse,
    Undone,
    Skip,
    Timeout,
    Cancel,
}

/// What happens to the step that a run is at. Success is likelier, so that runs come far.
fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Done),
        1 => Just(Act::RefuseForNow),
        1 => Just(Act::Refuse),
        4 => Just(Act::Undone),
        1 => Just(Act::Skip),
        1 => Just(Act::Timeout),
        1 => Just(Act::Cancel),
    ]
}

fn input(act: Act, step: usize, state: &State) -> Input {
    let by = Signature::new("ada", "a test");
    let attempt = Attempt::Do(state.steps[step].attempt);
    let refused = |retry| Reply::Refused {
        refusal: refusal(step),
        retry,
    };
    let (attempt, reply) = match act {
        Act::Timeout => return Input::Timer,
        Act::Cancel => return Input::Cancel(by),
        Act::Skip => {
            let result = result(step);
            return Input::Skip { step, result, by };
        }
        Act::Undone => (Attempt::Undo, Reply::Undone),
        // Behind the pivot nothing is refused.
        Act::Done | Act::RefuseForNow | Act::Refuse if step == 5 => {
            (attempt, Reply::Done(result(step)))
        }
        Act::Done => (attempt, Reply::Done(result(step))),
        Act::RefuseForNow => (attempt, refused(Some(Duration::from_secs(1)))),
        Act::Refuse => (attempt, refused(None)),
    };
    Input::Reply {
        step,
        attempt,
        reply,
    }
}

/// The order and the run after these acts, and the statuses that the order has entered.
fn play(acts: &[Act]) -> (Order, State, Vec<Status>) {
    let definition = place_order();
    let shape = definition.shape();
    let mut order: Order = mainstay_eventstore::fold([placed()]);
    let mut entered = vec![Status::Placed];
    let mut state = advance(shape, &State::new(shape), Duration::ZERO, &Input::Start).state;
    for act in acts {
        let Some(at) = state.at() else { break };
        let step = shape.find(&at.name).unwrap();
        // A year: whatever is timed is due.
        let passed = matches!(act, Act::Timeout).then_some(Duration::from_secs(31_536_000));
        let input = input(*act, step, &state);
        let turn = advance(shape, &state, passed.unwrap_or_default(), &input);
        for event in happened(&turn.journal).unwrap() {
            order.accept(&event).unwrap();
            entered.extend(order.status.filter(|status| entered.last() != Some(status)));
        }
        state = turn.state;
    }
    (order, state, entered)
}

proptest! {
    #[test]
    fn an_order_allows_whatever_its_run_does(acts in proptest::collection::vec(act(), 0..40)) {
        let (order, state, _) = play(&acts);
        let is_undone = |step: &&mainstay_saga::state::StepState| {
            step.progress == mainstay_saga::state::Progress::Undone
        };
        let undone = order.cancellation.as_ref().map_or(0, |cancellation| cancellation.undone.len());
        prop_assert_eq!(undone, state.steps.iter().filter(is_undone).count());
        let status = order.status.unwrap();
        match state.status() {
            RunStatus::Completed => prop_assert_eq!(status, Status::Dispatched),
            RunStatus::Undone => prop_assert_eq!(status, Status::Cancelled),
            RunStatus::Undoing => prop_assert_eq!(status, Status::Cancelling),
            RunStatus::Running | RunStatus::Broken => {
                prop_assert!(!matches!(status, Status::Cancelling | Status::Cancelled));
            }
        }
    }
}

#[test]
fn an_order_without_refusals_is_dispatched() {
    let (_, state, entered) = play(&[Act::Done; 6]);
    assert_eq!(state.status(), RunStatus::Completed);
    let whole_way = [
        Status::Placed,
        Status::StockReserved,
        Status::PaymentAuthorized,
        Status::Confirmed,
        Status::Fulfilling,
        Status::Captured,
        Status::Dispatched,
    ];
    assert_eq!(entered, whole_way);
}

/// The reason of an order whose run ends after these acts.
fn reason(acts: &[Act]) -> (String, String) {
    let (order, ..) = play(acts);
    let CancelReason { code, detail } = order.cancellation.unwrap().reason;
    (code, detail)
}

#[test]
fn an_order_says_why_it_is_cancelled() {
    let cases: [(usize, Act, &str, &str); 7] = [
        (
            0,
            Act::Refuse,
            "out_of_stock",
            "6 of SKU-200 ordered, 5 available",
        ),
        (1, Act::Refuse, "payment_declined", "declined"),
        (
            1,
            Act::Timeout,
            "timed_out",
            "AuthorizePayment was not answered in time",
        ),
        (
            2,
            Act::Refuse,
            "out_of_stock",
            "6 of SKU-200 ordered, 5 available",
        ),
        (
            3,
            Act::Refuse,
            "undeliverable",
            "the shipment was cancelled",
        ),
        (3, Act::Cancel, "cancelled", "a test"),
        (4, Act::Refuse, "payment_declined", "declined"),
    ];
    for (done, act, code, detail) in cases {
        let mut acts = vec![Act::Done; done];
        acts.push(act);
        assert_eq!(
            reason(&acts),
            (code.to_owned(), detail.to_owned()),
            "{acts:?}"
        );
    }
}

#[test]
fn a_paid_order_is_not_cancelled() {
    let (order, ..) = play(&[[Act::Done; 5].as_slice(), &[Act::Cancel, Act::Timeout]].concat());
    assert_eq!(order.status, Some(Status::Captured));
}

#[test]
fn an_operator_who_skips_an_undo_is_told_of() {
    let (order, ..) = play(&[Act::Done, Act::Refuse, Act::Skip]);
    assert_eq!(order.status, Some(Status::Cancelled));
    let undone = &order.cancellation.unwrap().undone;
    assert_eq!(
        (undone[0].step.as_str(), undone[0].outcome.as_str()),
        ("ReserveStock", "skipped")
    );
}

#[test]
fn lines_of_one_product_are_reserved_together() {
    let line = |sku: &str, qty| OrderLine {
        line_no: 1,
        sku: Sku::new(sku),
        qty,
        unit_price_minor: Money::ZERO,
        tax_minor: Money::ZERO,
    };
    let sums = quantities(&[line("B", 3), line("A", 1), line("B", 3)]);
    let sums: Vec<_> = sums.iter().map(|sum| (sum.sku.as_str(), sum.qty)).collect();
    assert_eq!(sums, [("A", 1), ("B", 6)]);
}
