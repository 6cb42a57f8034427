//! The payment service's handlers. They write intents; [`settling`](crate::settling) carries them
//! out.

use std::collections::BTreeSet;

use commerce_chassis::{Connection, Entries, Journal, Result};
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
    let mut writing = Writing::new(&journal);
    for Received { event, message, .. } in received {
        // A payment that exists already is a tombstone: the order was cancelled first.
        if let Some(mut tombstone) = known.remove(&event.order_id) {
            let declined = declined(&event.order_id, DeclineStage::Authorize, "cancelled");
            writing.emit(&mut tombstone, &declined, &message)?;
            writing
                .entries
                .record(&message, &event.effect_key, "cancelled before");
            writing.payments.push(tombstone);
            continue;
        }
        writing.entries.record(&message, &event.effect_key, "done");
        writing.intend(Kind::Authorize, event.effect_key, &event.order_id, &message);
        writing.payments.push(Payment {
            order_id: event.order_id,
            status: Status::Requested,
            amount: event.amount_minor,
            currency: event.currency,
            method: event.payment_method,
            provider_ref: None,
            is_new: true,
            emitted: 0,
        });
    }
    Ok(writing.write(connection).await?)
}

async fn capture(
    connection: &mut Connection,
    received: Vec<Received<CapturePayment>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let mut known = store::load(connection, &orders).await?;
    let mut writing = Writing::new(&journal);
    for Received { event, message, .. } in received {
        match known.remove(&event.order_id) {
            Some(payment) if payment.status == Status::Authorized => {
                writing.entries.record(&message, &event.effect_key, "done");
                writing.intend(Kind::Capture, event.effect_key, &event.order_id, &message);
            }
            Some(mut payment) => {
                let code = format!("payment is {}", payment.status.name());
                let declined = declined(&event.order_id, DeclineStage::Capture, &code);
                writing.emit(&mut payment, &declined, &message)?;
                writing
                    .entries
                    .record(&message, &event.effect_key, "not authorised");
                writing.payments.push(payment);
            }
            None => writing
                .entries
                .record(&message, &event.effect_key, "unknown payment"),
        }
    }
    Ok(writing.write(connection).await?)
}

/// Voids the payments of cancelled orders, and answers each order, even if nothing is held.
async fn cancelled(
    connection: &mut Connection,
    received: Vec<Received<OrderCancelled>>,
    journal: Journal,
) -> Result<(), HandlerError> {
    let orders: BTreeSet<_> = received.iter().map(|r| &r.event.order_id).collect();
    let mut known = store::load(connection, &orders).await?;
    let mut writing = Writing::new(&journal);
    for Received { event, message, .. } in received {
        let order_id = event.order_id;
        let payment = known.remove(&order_id);
        let mut payment = payment.unwrap_or_else(|| tombstone(&order_id));
        match payment.status {
            Status::Requested | Status::Authorized => {
                let effect_key = format!("{order_id}:void:1");
                writing.entries.record(&message, order_id.as_str(), "done");
                writing.intend(Kind::Void, effect_key, &order_id, &message);
            }
            Status::Declined | Status::Voided => {
                let nothing = refunded(&payment, Money::ZERO, &event.reason.code);
                writing.emit(&mut payment, &nothing, &message)?;
                writing
                    .entries
                    .record(&message, order_id.as_str(), "nothing held");
                writing.payments.push(payment);
            }
            Status::Captured => writing
                .entries
                .record(&message, order_id.as_str(), "too late"),
        }
    }
    Ok(writing.write(connection).await?)
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
        emitted: 0,
    }
}

/// The event that a payment was declined without a call to the provider.
fn declined(order_id: &OrderId, stage: DeclineStage, code: &str) -> PaymentDeclined {
    PaymentDeclined {
        payment_id: payment_id(order_id),
        order_id: order_id.clone(),
        stage,
        code: code.to_owned(),
        retryable: false,
        attempt: 0,
    }
}

/// The event that a hold was voided.
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

/// The rows that a batch writes.
struct Writing<'a> {
    journal: &'a Journal,
    payments: Vec<Payment>,
    intents: Vec<Intent>,
    entries: Entries<'a>,
}

impl<'a> Writing<'a> {
    const fn new(journal: &'a Journal) -> Self {
        Self {
            journal,
            payments: Vec::new(),
            intents: Vec::new(),
            entries: journal.entries(),
        }
    }

    fn emit<C: Contract>(
        &mut self,
        payment: &mut Payment,
        contract: &C,
        cause: &Message,
    ) -> Result<()> {
        let payment_id = payment_id(&payment.order_id);
        self.entries
            .emit(payment_id, &mut payment.emitted, contract, cause)
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

    async fn write(self, connection: &mut Connection) -> Result<()> {
        let now = self.journal.now();
        if !self.payments.is_empty() {
            let payments: Vec<&Payment> = self.payments.iter().collect();
            store::save(connection, &payments, now).await?;
        }
        if !self.intents.is_empty() {
            store::intend(connection, &self.intents, now).await?;
        }
        self.entries.write(connection).await
    }
}
