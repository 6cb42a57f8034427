//! The commands of the saga. The handlers write what is left to do at the provider;
//! [`settling`](crate::settling) does it, and answers.

use std::sync::Arc;

use commerce_chassis::{Connection, Participant};
use commerce_contracts::{
    AuthorizePayment, CapturePayment, DeclineStage, Money, RefundKind, VoidOrRefundPayment,
};
use mainstay_clock::Clock;
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::envelope::micros_since_epoch;

use crate::{
    intent::Kind,
    payment::{Event, Status, declined, returned},
    store,
};

/// What the handlers work with.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) kit: Participant,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Desk {
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
    let (kind, effect_key) = (Kind::Authorize, effect_key.as_str());
    Ok(store::intend(tx, kind, effect_key, &command.order_id, &task, now).await?)
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
    let (kind, effect_key) = (Kind::Capture, effect_key.as_str());
    Ok(store::intend(tx, kind, effect_key, &order_id, &task, now).await?)
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
    let Some(mut payment) = payment.filter(|payment| !payment.status.is_nothing()) else {
        let reference = format!("void-{order_id}");
        let nothing = returned(order_id, reference, RefundKind::Void, Money::ZERO);
        return Ok(desk.kit.undone(tx, &task, &nothing).await?);
    };
    // While a capture is under way this fails, and the message is tried again; the saga sends no
    // undo then.
    payment.status = payment.status.after(Event::Undone)?;
    let now = desk.now();
    store::save(tx, &payment, now).await?;
    // The void takes the place of an authorisation in flight: the provider declines that one from
    // now on, if it has not done it, and releases it otherwise.
    store::withdraw(tx, &order_id).await?;
    let kind = match payment.status {
        Status::Refunding => Kind::Refund,
        _ => Kind::Void,
    };
    Ok(store::intend(tx, kind, effect_key.as_str(), &order_id, &task, now).await?)
}
