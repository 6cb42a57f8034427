//! What the order service sends, and what is sent to it.

use commerce_contracts::{
    AuthorizePayment, CancelReason, CapturePayment, Contract, Currency, Money, OrderCancelled,
    OrderId, RefundPayment, VoidOrRefundPayment,
};
use mainstay_messaging::{
    Message, MessageId,
    event::{Event, decode},
};
use mainstay_saga::{Attempt, CommandId, RunId};

pub(super) fn order_id() -> OrderId {
    OrderId::new("order")
}

pub(super) fn amount() -> Money {
    Money::from_minor(700).unwrap()
}

pub(super) fn command(method: &str) -> AuthorizePayment {
    AuthorizePayment {
        order_id: order_id(),
        amount_minor: amount(),
        currency: Currency::Eur,
        payment_method: method.to_owned(),
        customer_id: Some("cust-001".to_owned()),
    }
}

pub(super) fn to_authorize(method: &str, attempt: Attempt) -> Message {
    message(&command(method), AuthorizePayment::KIND, attempt)
}

pub(super) fn to_capture() -> Message {
    let command = CapturePayment {
        order_id: order_id(),
        amount_minor: amount(),
        currency: Currency::Eur,
    };
    message(&command, CapturePayment::KIND, Attempt::Do(1))
}

pub(super) fn to_undo() -> Message {
    let undo = VoidOrRefundPayment {
        order_id: order_id(),
    };
    message(&undo, AuthorizePayment::KIND, Attempt::Undo)
}

/// As the order service asks for the money of a return.
pub(super) fn to_refund(return_id: &str, minor: i64) -> Message {
    let command = RefundPayment {
        order_id: order_id(),
        return_id: return_id.to_owned(),
        amount_minor: Money::from_minor(minor).unwrap(),
        reason: "the parcel came back".to_owned(),
    };
    let message = Message::builder().source("/order").event(&command);
    message.build().unwrap()
}

/// As the order service tells it behind every undo.
pub(super) fn order_cancelled() -> Message {
    let cancelled = OrderCancelled {
        order_id: order_id(),
        customer_id: "cust-001".to_owned(),
        reason: CancelReason {
            code: "cancelled".to_owned(),
            detail: String::new(),
        },
        stage: "captured".to_owned(),
        compensations: Vec::new(),
    };
    let message = Message::builder().source("/order").event(&cancelled);
    message.id("cancelled-1").build().unwrap()
}

fn message<C: Contract>(command: &C, step: &str, attempt: Attempt) -> Message {
    let id = CommandId::new(RunId::new("run"), step, attempt);
    let mut message = Message::builder()
        .source("/order")
        .event(command)
        .build()
        .unwrap();
    message.id = MessageId::new(id.to_string()).unwrap();
    message
}

pub(super) fn kinds(messages: &[Message]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.kind.as_str())
        .collect()
}

/// The only message.
pub(super) fn read<E: Event>(messages: &[Message]) -> E {
    let [message] = messages else {
        panic!("{messages:?}");
    };
    decode(message).unwrap()
}
