//! What other services hear of an order.

use commerce_contracts::{OrderCancelled, OrderCompleted, OrderConfirmed, OrderPlaced};
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
        OrderEvent::Delivered(_) => Box::new(OrderCompleted {
            order_id: placed.order_id.clone(),
            customer_id: placed.customer_id.clone(),
            captured_minor: placed.total,
            lines: placed.lines.clone(),
            completed_at: now,
        }),
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
