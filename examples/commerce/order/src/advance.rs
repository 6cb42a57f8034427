//! What an order does about what it hears: one load, one save, whatever the number of messages.

use std::collections::BTreeSet;

use commerce_chassis::{Aggregate, Connection, Effect, Journal, Result};
use commerce_contracts::{
    AuthorizePayment, CancelReason, CapturePayment, Compensation, CompensationStep,
    DispatchShipment, OrderCancelled, OrderCompleted, OrderConfirmed, OrderId,
};
use mainstay_messaging::Message;

use crate::{
    status::{Act, Input},
    store::{self, Change, Order},
};

/// Something that an order hears.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) order_id: OrderId,
    pub(crate) input: Input,
    /// What tells this message from others of its kind about the order; empty if there is only one.
    pub(crate) qualifier: &'static str,
    pub(crate) message: Message,
}

/// Applies everything heard, in order, in the transaction of `connection`.
pub(crate) async fn advance(
    journal: &Journal,
    connection: &mut Connection,
    heard: Vec<Heard>,
) -> Result<()> {
    let now = journal.now();
    let ids: BTreeSet<&OrderId> = heard.iter().map(|heard| &heard.order_id).collect();
    let mut orders = store::load(connection, &ids).await?;
    let seen: Vec<(OrderId, i64)> = orders
        .values()
        .map(|order| (order.id.clone(), order.changes))
        .collect();

    let mut history = Vec::new();
    let mut messages = Vec::new();
    let mut effects = Vec::with_capacity(heard.len());
    let mut touched = BTreeSet::new();
    for heard in heard {
        let key = format!("{}:{}", heard.order_id, heard.qualifier);
        let outcome = match orders.get_mut(&heard.order_id) {
            None => "unknown order",
            Some(order) => match order.progress.apply(heard.input) {
                Err(illegal) => {
                    tracing::debug!(%illegal, order = %heard.order_id, "nothing to do");
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
                    for act in step.acts {
                        messages.push(carry_out(journal, order, act, &heard.message, now)?);
                    }
                    touched.insert(heard.order_id.clone());
                    "done"
                }
            },
        };
        effects.push(Effect::of(&heard.message, key, outcome));
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
    journal.tell(connection, &messages).await?;
    journal.note(connection, &effects).await
}

fn carry_out(
    journal: &Journal,
    order: &mut Order,
    act: Act,
    cause: &Message,
    now: i64,
) -> Result<Message> {
    let mut aggregate = Aggregate::new(order.id.as_str(), order.told);
    let order_id = order.id.clone();
    let effect_key = |step: &str| format!("{order_id}:{step}:1");
    let message = match act {
        Act::Authorize => journal.message(
            &mut aggregate,
            &AuthorizePayment {
                order_id: order_id.clone(),
                effect_key: effect_key("authorize"),
                amount_minor: order.total,
                currency: order.currency,
                payment_method: order.details.payment_method.clone(),
            },
            cause.into(),
        ),
        Act::Capture => journal.message(
            &mut aggregate,
            &CapturePayment {
                order_id: order_id.clone(),
                effect_key: effect_key("capture"),
                amount_minor: order.total,
                currency: order.currency,
            },
            cause.into(),
        ),
        Act::Dispatch => journal.message(
            &mut aggregate,
            &DispatchShipment {
                order_id: order_id.clone(),
                effect_key: effect_key("dispatch"),
            },
            cause.into(),
        ),
        Act::Confirm => journal.message(
            &mut aggregate,
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
            cause.into(),
        ),
        Act::Complete => journal.message(
            &mut aggregate,
            &OrderCompleted {
                order_id: order_id.clone(),
                customer_id: order.customer_id.clone(),
                captured_minor: order.total,
                lines: order.details.lines.clone(),
                completed_at: now,
            },
            cause.into(),
        ),
        Act::Cancel {
            code,
            detail,
            stage,
            started,
        } => journal.message(
            &mut aggregate,
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
            cause.into(),
        ),
    }?;
    order.told = aggregate.version();
    Ok(message)
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
