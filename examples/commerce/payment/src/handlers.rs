//! What the payment service is told. Handlers write down what is to be done; [`settling`](crate::settling) does it.

use std::collections::BTreeSet;

use commerce_chassis::{Aggregate, Connection, Effect, Journal, Result};
use commerce_contracts::{
    AuthorizePayment, CapturePayment, Contract, Currency, DeclineStage, Money, OrderCancelled,
    OrderId, PaymentDeclined, PaymentRefunded, RefundKind,
};
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::Message;

use crate::{
    intent::{Kind, Question},
    payment::Status,
    store::{self, Intent, Payment},
};

pub(crate) fn handlers(journal: &Journal) -> Handlers<Connection, Journal> {
    Handlers::new()
        .with_state(journal.clone())
        .on_batch(authorize)
        .on_batch(capture)
        .on_batch(cancelled)
}

async fn authorize(
    connection: &mut Connection,
    received: Vec<Received<AuthorizePayment>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let mut known = store::load(connection, &orders).await?;
    let mut writing = Writing::default();
    for Received { event, message, .. } in received {
        // A payment that is there already is the tombstone of an order that was cancelled before it got here.
        if let Some(mut tombstone) = known.remove(&event.order_id) {
            let declined = PaymentDeclined {
                payment_id: payment_id(&event.order_id),
                order_id: event.order_id.clone(),
                stage: DeclineStage::Authorize,
                code: "cancelled".to_owned(),
                retryable: false,
                attempt: 0,
            };
            writing.tell(&journal, &mut tombstone, &declined, &message)?;
            writing.note(&message, &event.effect_key, "cancelled before");
            writing.payments.push(tombstone);
            continue;
        }
        writing.note(&message, &event.effect_key, "done");
        writing.intend(Kind::Authorize, event.effect_key, &event.order_id, &message);
        writing.payments.push(Payment {
            order_id: event.order_id,
            status: Status::Requested,
            amount: event.amount_minor,
            currency: event.currency,
            method: event.payment_method,
            provider_ref: None,
            is_new: true,
            told: 0,
        });
    }
    Ok(writing.write(&journal, connection).await?)
}

async fn capture(
    connection: &mut Connection,
    received: Vec<Received<CapturePayment>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let mut known = store::load(connection, &orders).await?;
    let mut writing = Writing::default();
    for Received { event, message, .. } in received {
        match known.remove(&event.order_id) {
            Some(payment) if payment.status == Status::Authorized => {
                writing.note(&message, &event.effect_key, "done");
                writing.intend(Kind::Capture, event.effect_key, &event.order_id, &message);
            }
            Some(mut payment) => {
                let declined = PaymentDeclined {
                    payment_id: payment_id(&event.order_id),
                    order_id: event.order_id.clone(),
                    stage: DeclineStage::Capture,
                    code: format!("payment is {}", payment.status.name()),
                    retryable: false,
                    attempt: 0,
                };
                writing.tell(&journal, &mut payment, &declined, &message)?;
                writing.note(&message, &event.effect_key, "not authorised");
                writing.payments.push(payment);
            }
            None => writing.note(&message, &event.effect_key, "unknown payment"),
        }
    }
    Ok(writing.write(&journal, connection).await?)
}

/// Lets go what is held for cancelled orders, and answers each, also when nothing is held.
async fn cancelled(
    connection: &mut Connection,
    received: Vec<Received<OrderCancelled>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let mut known = store::load(connection, &orders).await?;
    let mut writing = Writing::default();
    for Received { event, message, .. } in received {
        let order_id = event.order_id;
        let payment = known.remove(&order_id);
        let mut payment = payment.unwrap_or_else(|| tombstone(&order_id));
        match payment.status {
            Status::Requested | Status::Authorized => {
                let effect_key = format!("{order_id}:void:1");
                writing.note(&message, order_id.as_str(), "done");
                writing.intend(Kind::Void, effect_key, &order_id, &message);
            }
            Status::Declined | Status::Voided => {
                let nothing = refunded(&payment, Money::ZERO, &event.reason.code);
                writing.tell(&journal, &mut payment, &nothing, &message)?;
                writing.note(&message, order_id.as_str(), "nothing held");
                writing.payments.push(payment);
            }
            Status::Captured => writing.note(&message, order_id.as_str(), "too late"),
        }
    }
    Ok(writing.write(&journal, connection).await?)
}

fn tombstone(order_id: &OrderId) -> Payment {
    Payment {
        order_id: order_id.clone(),
        status: Status::Voided,
        amount: Money::ZERO,
        currency: Currency::Eur,
        method: String::new(),
        provider_ref: None,
        is_new: true,
        told: 0,
    }
}

/// That a hold was let go.
pub(crate) fn refunded(payment: &Payment, amount: Money, reason: &str) -> PaymentRefunded {
    PaymentRefunded {
        payment_id: payment_id(&payment.order_id),
        order_id: payment.order_id.clone(),
        refund_id: format!("void-{}", payment.order_id),
        kind: RefundKind::Void,
        amount_minor: amount,
        cumulative_refunded_minor: Money::ZERO,
        reason: reason.to_owned(),
    }
}

pub(crate) fn payment_id(order_id: &OrderId) -> String {
    format!("pay-{order_id}")
}

/// What a batch writes.
#[derive(Default)]
struct Writing {
    payments: Vec<Payment>,
    intents: Vec<Intent>,
    messages: Vec<Message>,
    effects: Vec<Effect>,
}

impl Writing {
    fn tell<C: Contract>(
        &mut self,
        journal: &Journal,
        payment: &mut Payment,
        contract: &C,
        cause: &Message,
    ) -> Result<()> {
        let mut aggregate = Aggregate::new(payment_id(&payment.order_id), payment.told);
        self.messages
            .push(journal.message(&mut aggregate, contract, cause.into())?);
        payment.told = aggregate.version();
        Ok(())
    }

    fn note(&mut self, message: &Message, key: &str, outcome: &'static str) {
        self.effects.push(Effect::of(message, key, outcome));
    }

    fn intend(&mut self, kind: Kind, effect_key: String, order_id: &OrderId, cause: &Message) {
        self.intents.push(Intent {
            effect_key,
            order_id: order_id.clone(),
            kind,
            question: Question::Ask,
            asked: 0,
            causation_id: cause.id.as_str().to_owned(),
            correlation_id: cause.correlation_id.clone(),
        });
    }

    async fn write(self, journal: &Journal, connection: &mut Connection) -> Result<()> {
        let now = journal.now();
        if !self.payments.is_empty() {
            let payments: Vec<&Payment> = self.payments.iter().collect();
            store::save(connection, &payments, now).await?;
        }
        if !self.intents.is_empty() {
            store::intend(connection, &self.intents, now).await?;
        }
        journal.tell(connection, &self.messages).await?;
        journal.note(connection, &self.effects).await
    }
}
