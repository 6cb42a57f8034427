//! What other services hear of an order.

use commerce_contracts::{
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderLine, OrderPlaced, RefundPayment,
};
use mainstay_messaging::event::AnyEvent;

use crate::order::{Order, OrderEvent, Placed, Status};

/// The integration event of an event, if it has one. `order` includes the event.
pub(crate) fn of(order: &Order, event: &OrderEvent, now: i64) -> Option<Box<dyn AnyEvent>> {
    let placed = order.placed.as_ref()?;
    Some(match event {
        OrderEvent::Placed(_) => Box::new(order_placed(placed)),
        OrderEvent::Confirmed(_) => Box::new(OrderConfirmed {
            order_id: placed.order_id.clone(),
            customer_id: placed.customer_id.clone(),
            total_minor: placed.total,
            currency: placed.currency,
            payment_id: order.payment_id.clone(),
            reservation_id: order.reservation_id.clone(),
            lines: placed.lines.clone(),
            ship_to: placed.ship_to.clone(),
        }),
        OrderEvent::CameBack(came) => Box::new(refund(order, placed, &came.return_id)?),
        OrderEvent::ReturnRequested(it) => Box::new(refund(order, placed, &it.return_id)?),
        OrderEvent::Delivered(_) => Box::new(completed(placed, placed.lines.clone(), now)),
        // Of a return by the customer nobody hears: the order was completed before.
        OrderEvent::ReturnRefunded(it) if order.returned(&it.return_id)?.is_of_parcel() => {
            Box::new(completed(placed, Vec::new(), now))
        }
        OrderEvent::Cancelled(_) => {
            let cancellation = order.cancellation.as_ref()?;
            Box::new(OrderCancelled {
                order_id: placed.order_id.clone(),
                customer_id: placed.customer_id.clone(),
                reason: cancellation.reason.clone(),
                stage: cancellation.stage.map_or("", Status::name).to_owned(),
                compensations: cancellation.undone.clone(),
            })
        }
        _ => return None,
    })
}

fn completed(placed: &Placed, lines: Vec<OrderLine>, now: i64) -> OrderCompleted {
    OrderCompleted {
        order_id: placed.order_id.clone(),
        customer_id: placed.customer_id.clone(),
        captured_minor: placed.total,
        lines,
        completed_at: now,
    }
}

/// Asks for the money of a return.
fn refund(order: &Order, placed: &Placed, return_id: &str) -> Option<RefundPayment> {
    let returned = order.returned(return_id)?;
    Some(RefundPayment {
        order_id: placed.order_id.clone(),
        return_id: returned.id.clone(),
        amount_minor: returned.amount,
        reason: returned.reason.clone(),
    })
}

fn order_placed(placed: &Placed) -> OrderPlaced {
    OrderPlaced {
        order_id: placed.order_id.clone(),
        customer_id: placed.customer_id.clone(),
        currency: placed.currency,
        lines: placed.lines.clone(),
        subtotal_minor: placed.subtotal,
        shipping_minor: placed.shipping,
        tax_minor: placed.tax,
        discount_minor: placed.discount,
        total_minor: placed.total,
        ship_to: placed.ship_to.clone(),
    }
}
