//! Several operations in one round.

use std::time::Duration;

use commerce_chassis::Round as _;
use commerce_contracts::{AuthorizePayment, OrderId, PaymentAuthorized};
use mainstay_messaging::{Event as _, Key, Message, MessageId};
use mainstay_saga::{Attempt, CommandId, RunId};

use super::{
    bench::{Bench, Held},
    messages::{self, command, kinds},
};

fn to_authorize(order: &str) -> Message {
    let mut command = command("pm_ok");
    command.order_id = OrderId::new(order);
    let id = CommandId::new(RunId::new(order), AuthorizePayment::KIND, Attempt::Do(1));
    let message = Message::builder().source("/order").event(&command);
    let mut message = message.build().unwrap();
    message.id = MessageId::new(id.to_string()).unwrap();
    message
}

/// What was answered to which order.
fn answered(messages: &[Message]) -> Vec<&str> {
    let mut keys: Vec<&str> = messages
        .iter()
        .filter_map(|message| message.key.as_ref())
        .map(Key::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn each_operation_of_a_round_is_answered() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    for order in ["c", "a", "b"] {
        bench.handle(to_authorize(order)).await;
    }
    let messages = bench.rounds(1).await;
    assert_eq!(kinds(&messages), [PaymentAuthorized::KIND; 3]);
    assert_eq!(answered(&messages), ["a", "b", "c"]);
    bench.close().await;
}

#[tokio::test]
async fn an_outcome_waits_for_no_slower_call_of_its_round() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    for order in ["a", "b"] {
        bench.handle(to_authorize(order)).await;
    }
    let (far_away, _reached, go) = bench.far_away(Held::Answer);
    // One of two calls ends.
    go.notify_one();
    let one_is_answered = async { while bench.emitted().await.is_empty() {} };
    let patience = Duration::from_secs(60);
    tokio::select! {
        progress = far_away.round() => panic!("{progress:?}"),
        waited = tokio::time::timeout(patience, one_is_answered) => waited.unwrap(),
    }
    bench.close().await;
}

/// The answer to the first request is lost. It is looked up, also by the process that read the intent
/// before.
#[tokio::test]
async fn two_processes_that_read_an_intent_request_it_once() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    bench
        .handle(messages::to_authorize("pm_late", Attempt::Do(1)))
        .await;
    let (first, second) = (bench.due().await, bench.due().await);
    for intent in [first, second].concat() {
        bench.settle_one(intent).await;
    }
    assert_eq!(bench.requested().await, 1);
    assert_eq!(kinds(&bench.settle().await), [PaymentAuthorized::KIND]);
    assert_eq!(bench.requested().await, 1);
    bench.close().await;
}

#[tokio::test]
async fn an_outcome_that_cannot_be_written_stops_no_other() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    for order in ["a", "b", "c"] {
        bench.handle(to_authorize(order)).await;
    }
    bench.damage("b").await;
    let messages = bench.rounds(1).await;
    assert_eq!(answered(&messages), ["a", "c"]);
    bench.close().await;
}
