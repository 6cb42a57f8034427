//! Applies received inputs to orders: one load and one save for any number of messages.

use std::collections::BTreeSet;

use commerce_chassis::{Connection, Entries, Journal, Result};
use commerce_contracts::{
    AuthorizePayment, CancelReason, CapturePayment, Compensation, CompensationStep,
    DispatchShipment, OrderCancelled, OrderCompleted, OrderConfirmed, OrderId,
};
use mainstay_messaging::Message;

use crate::{
    status::{Action, Input},
    store::{self, Change, Order},
};

/// An input to an order, with the message that brought it.
#[derive(Debug)]
pub(crate) struct ReceivedInput {
    pub(crate) order_id: OrderId,
    pub(crate) input: Input,
    /// Distinguishes the order's messages of one kind; empty if an order gets only one.
    pub(crate) qualifier: &'static str,
    pub(crate) message: Message,
}

/// Applies the inputs in their order, in the transaction of `connection`.
pub(crate) async fn advance(
    journal: &Journal,
    connection: &mut Connection,
    inputs: Vec<ReceivedInput>,
) -> Result<()> {
    let now = journal.now();
    let ids: BTreeSet<&OrderId> = inputs.iter().map(|input| &input.order_id).collect();
    let mut orders = store::load(connection, &ids).await?;
    let seen: Vec<(OrderId, i64)> = orders
        .values()
        .map(|order| (order.id.clone(), order.changes))
        .collect();

    let mut history = Vec::new();
    let mut entries = journal.entries();
    let mut touched = BTreeSet::new();
    for received in inputs {
        let key = format!("{}:{}", received.order_id, received.qualifier);
        let outcome = match orders.get_mut(&received.order_id) {
            None => "unknown order",
            Some(order) => match order.progress.apply(received.input) {
                Err(illegal) => {
                    tracing::debug!(%illegal, order = %received.order_id, "the input is stale and is skipped");
                    "stale"
                }
                Ok(step) => {
                    for (status, reason) in step.entered {
                        order.changes += 1;
                        history.push(Change {
                            order_id: order.id.clone(),
                            number: order.changes,
                            status,
                            reason,
                        });
                    }
                    for action in step.actions {
                        carry_out(&mut entries, order, action, &received.message, now)?;
                    }
                    touched.insert(received.order_id.clone());
                    "done"
                }
            },
        };
        entries.record(&received.message, key, outcome);
    }

    let changed: Vec<(&Order, i64)> = seen
        .iter()
        .filter(|(id, _)| touched.contains(id))
        .filter_map(|(id, changes)| Some((orders.get(id)?, *changes)))
        .collect();
    if !changed.is_empty() {
        store::save(connection, &changed, now).await?;
    }
    if !history.is_empty() {
        store::write_history(connection, &history, now).await?;
    }
    entries.write(connection).await
}

/// Emits the message of an action.
fn carry_out(
    entries: &mut Entries<'_>,
    order: &mut Order,
    action: Action,
    cause: &Message,
    now: i64,
) -> Result<()> {
    let order_id = order.id.clone();
    let effect_key = |step: &str| format!("{order_id}:{step}:1");
    let (aggregate, emitted) = (order_id.as_str(), &mut order.emitted);
    match action {
        Action::Authorize => entries.emit(
            aggregate,
            emitted,
            &AuthorizePayment {
                order_id: order_id.clone(),
                effect_key: effect_key("authorize"),
                amount_minor: order.total,
                currency: order.currency,
                payment_method: order.details.payment_method.clone(),
            },
            cause,
        ),
        Action::Capture => entries.emit(
            aggregate,
            emitted,
            &CapturePayment {
                order_id: order_id.clone(),
                effect_key: effect_key("capture"),
                amount_minor: order.total,
                currency: order.currency,
            },
            cause,
        ),
        Action::Dispatch => entries.emit(
            aggregate,
            emitted,
            &DispatchShipment {
                order_id: order_id.clone(),
                effect_key: effect_key("dispatch"),
            },
            cause,
        ),
        Action::Confirm => entries.emit(
            aggregate,
            emitted,
            &OrderConfirmed {
                order_id: order_id.clone(),
                customer_id: order.customer_id.clone(),
                total_minor: order.total,
                currency: order.currency,
                payment_id: format!("pay-{order_id}"),
                reservation_id: format!("res-{order_id}"),
                lines: order.details.lines.clone(),
                ship_to: order.details.ship_to.clone(),
            },
            cause,
        ),
        Action::Complete => entries.emit(
            aggregate,
            emitted,
            &OrderCompleted {
                order_id: order_id.clone(),
                customer_id: order.customer_id.clone(),
                captured_minor: order.total,
                lines: order.details.lines.clone(),
                completed_at: now,
            },
            cause,
        ),
        Action::Cancel {
            code,
            detail,
            stage,
            started,
        } => entries.emit(
            aggregate,
            emitted,
            &OrderCancelled {
                order_id: order_id.clone(),
                customer_id: order.customer_id.clone(),
                reason: CancelReason {
                    code: code.to_owned(),
                    detail,
                },
                stage: stage.name().to_owned(),
                compensations: compensations(&started),
            },
            cause,
        ),
    }
}

fn compensations(started: &BTreeSet<CompensationStep>) -> Vec<Compensation> {
    [
        CompensationStep::ReleaseStock,
        CompensationStep::VoidPayment,
        CompensationStep::CancelShipment,
    ]
    .map(|step| Compensation {
        step,
        started: started.contains(&step),
    })
    .into()
}
