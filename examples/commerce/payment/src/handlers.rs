//! The commands of the saga, and the backstop behind a cancelled order. The handlers write what is
//! left to do at the provider; [`settling`](crate::settling) does it, and answers.

use std::sync::Arc;

use commerce_chassis::{Connection, Outbox, Participant, ServiceBuilder};
use commerce_contracts::{
    AuthorizePayment, CapturePayment, DeclineStage, Money, OrderCancelled, RefundKind,
    RefundPayment, VoidOrRefundPayment,
};
use mainstay_clock::{Clock, IdGenerator};
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::envelope::micros_since_epoch;
use mainstay_saga::UndoTask;

use crate::{
    intent::Kind,
    payment::{Event, ORDER_CANCELLED, Payment, Status, declined, returned},
    refund, store,
};

/// What the handlers work with.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) kit: Participant,
    pub(crate) outbox: Outbox,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Desk {
    pub(crate) fn new(builder: &ServiceBuilder, kit: Participant) -> Self {
        Self {
            kit,
            outbox: builder.outbox().clone(),
            ids: Arc::clone(builder.ids()),
            clock: Arc::clone(builder.clock()),
        }
    }

    /// The id of a new refund, and its effect key.
    pub(crate) fn new_refund_id(&self) -> String {
        format!("refund-{}", self.ids.uuid())
    }

    /// Microseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        micros_since_epoch(self.clock.now())
    }
}

pub(crate) fn handlers(desk: Desk) -> Handlers<Connection, Desk> {
    Handlers::new()
        .with_state(desk)
        .on(authorize)
        .on(capture)
        .on(void_or_refund)
        .on(refund_return)
        .on(order_cancelled)
}

async fn authorize(
    tx: &mut Connection,
    command: Received<AuthorizePayment>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let Some(task) = desk.kit.begin(tx, &command).await? else {
        return Ok(()); // It was undone before.
    };
    let (effect_key, command) = (command.message.id, command.event);
    if let Some(payment) = store::find(tx, &command.order_id).await?
        && payment.status.after(Event::Requested).is_err()
    {
        let (stage, code) = (DeclineStage::Authorize, payment.status.name());
        let declined = declined(command.order_id, stage, code, payment.attempts);
        return Ok(desk.kit.refused(tx, &task, &declined).await?);
    }
    let now = desk.now();
    store::request(tx, &command, now).await?;
    let (kind, of) = (Kind::Authorize, (&command.order_id, command.amount_minor));
    Ok(store::intend(tx, kind, effect_key.as_str(), of, &task, now).await?)
}

async fn capture(
    tx: &mut Connection,
    command: Received<CapturePayment>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let Some(task) = desk.kit.begin(tx, &command).await? else {
        return Ok(());
    };
    let (effect_key, order_id) = (command.message.id, command.event.order_id);
    let payment = store::find(tx, &order_id).await?;
    let Some(mut payment) = payment.filter(|payment| payment.status == Status::Authorized) else {
        let declined = declined(order_id, DeclineStage::Capture, "not_authorized", 0);
        return Ok(desk.kit.refused(tx, &task, &declined).await?);
    };
    payment.status = payment.status.after(Event::Capturing)?;
    let now = desk.now();
    store::save(tx, &payment, now).await?;
    let (kind, of) = (Kind::Capture, (&order_id, payment.amount));
    Ok(store::intend(tx, kind, effect_key.as_str(), of, &task, now).await?)
}

/// Undoes a payment in whatever state it is.
async fn void_or_refund(
    tx: &mut Connection,
    undo: Received<VoidOrRefundPayment>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let (_, task) = desk.kit.undo::<AuthorizePayment>(tx, &undo).await?;
    let (effect_key, order_id) = (undo.message.id, undo.event.order_id);
    let payment = store::find(tx, &order_id).await?;
    let refunded = payment.as_ref().map_or(Money::ZERO, |it| it.refunded);
    let Some(payment) = payment.filter(|payment| !payment.status.is_nothing()) else {
        let reference = format!("void-{order_id}");
        let (kind, amounts) = (RefundKind::Void, [Money::ZERO, refunded]);
        let nothing = returned(order_id, reference, kind, amounts, ORDER_CANCELLED);
        return Ok(desk.kit.undone(tx, &task, &nothing).await?);
    };
    give_back(tx, payment, effect_key.as_str(), Some(task), &desk).await
}

/// Gives money back for a return.
async fn refund_return(
    tx: &mut Connection,
    command: Received<RefundPayment>,
    desk: Desk,
) -> Result<(), HandlerError> {
    refund::for_return(tx, command.event, &desk).await
}

/// Gives back what is still held or captured for a cancelled order. Usually the saga has done so.
async fn order_cancelled(
    tx: &mut Connection,
    cancelled: Received<OrderCancelled>,
    desk: Desk,
) -> Result<(), HandlerError> {
    let payment = store::find(tx, &cancelled.event.order_id).await?;
    // A void that is under way ends all there is.
    let is_open = |it: &Payment| !it.status.is_nothing() && it.status != Status::Voiding;
    let Some(payment) = payment.filter(is_open) else {
        return Ok(());
    };
    give_back(tx, payment, cancelled.message.id.as_str(), None, &desk).await
}

/// Has all of the payment's money given back, and then the undo answered, if it is one.
async fn give_back(
    tx: &mut Connection,
    mut payment: Payment,
    effect_key: &str,
    task: Option<UndoTask<AuthorizePayment>>,
    desk: &Desk,
) -> Result<(), HandlerError> {
    let kept = payment.kept().map_err(HandlerError::permanent)?;
    // While a capture or a refund is under way this fails, and the message is tried again.
    payment.status = payment.status.after(Event::Undone)?;
    let now = desk.now();
    store::save(tx, &payment, now).await?;
    // The void takes the place of an authorisation in flight: the provider declines that one from
    // now on, if it has not done it, and releases it otherwise.
    store::withdraw(tx, &payment.order_id).await?;
    let (kind, amount) = match payment.status {
        Status::Refunding => (Kind::Refund, kept),
        _ => (Kind::Void, payment.amount),
    };
    let of = (&payment.order_id, amount);
    Ok(store::intend(tx, kind, effect_key, of, &task, now).await?)
}
