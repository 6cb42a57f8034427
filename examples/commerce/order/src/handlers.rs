//! Replies to the saga's commands, news of parcels and of the money of returns, and products.

use commerce_chassis::Connection;
use commerce_contracts::{
    OrderId, PaymentRefunded, ProductChanged, ShipmentStatus, ShipmentStatusChanged,
};
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::{
    Cause, Message,
    event::{Event, decode},
};
use mainstay_saga::{CommandId, Error};

use crate::{
    order::Delivered,
    orders::{Happened, Orders},
    price_book,
    saga::{PlaceOrderSaga, place_order},
};

/// What the handlers need. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    saga: PlaceOrderSaga,
    orders: Orders,
}

pub(crate) fn handlers(saga: PlaceOrderSaga, orders: Orders) -> Handlers<Connection, Context> {
    Handlers::new()
        .with_state(Context { saga, orders })
        .on_messages(&place_order().reply_kinds(), handle)
        .on(product_changed)
}

/// The saga takes its replies, and ignores what answers none of its commands.
async fn handle(
    connection: &mut Connection,
    received: Vec<Received<()>>,
    context: Context,
) -> Result<(), HandlerError> {
    let messages: Vec<&Message> = received.iter().map(|received| &received.message).collect();
    let taken = context.saga.take(connection, &messages).await;
    taken.map_err(|error| match error {
        Error::Handler { failure, .. } => failure,
        error => error.into(),
    })?;
    // A parcel is delivered, or comes back, behind the reply that it was dispatched.
    let mut delivered = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let (cause, orders) = (Cause::of(message), &context.orders);
        let heard = cause.scope(hear(connection, message, orders, &mut delivered));
        heard.await.map_err(|error| error.at(place))?;
    }
    let delivered: Vec<Happened<'_>> = (delivered.iter())
        .map(|(id, cause)| Happened {
            id: id.as_str(),
            events: vec![Delivered {}.into()],
            cause: cause.clone(),
        })
        .collect();
    context.orders.record_batch(connection, delivered).await
}

/// Takes what is news and no reply. Parcels that are delivered are written together.
async fn hear(
    connection: &mut Connection,
    message: &Message,
    orders: &Orders,
    delivered: &mut Vec<(OrderId, Cause)>,
) -> Result<(), HandlerError> {
    let answers = message.causation_id.as_deref().unwrap_or_default();
    if answers.parse::<CommandId>().is_ok() {
        return Ok(());
    }
    match message.kind.as_str() {
        ShipmentStatusChanged::KIND => {
            let changed: ShipmentStatusChanged =
                decode(message).map_err(HandlerError::permanent)?;
            let id = &changed.order_id;
            match changed.to {
                ShipmentStatus::Delivered => {
                    delivered.push((changed.order_id, Cause::current()));
                    Ok(())
                }
                ShipmentStatus::Returned => orders.came_back(connection, id).await,
                _ => Ok(()),
            }
        }
        PaymentRefunded::KIND => {
            let refunded: PaymentRefunded = decode(message).map_err(HandlerError::permanent)?;
            // What operators give back is no return.
            let Some(return_id) = refunded.return_id else {
                return Ok(());
            };
            let (id, amount) = (&refunded.order_id, refunded.amount_minor);
            orders.refunded(connection, id, return_id, amount).await
        }
        _ => Ok(()),
    }
}

/// The price book follows the catalog.
async fn product_changed(
    connection: &mut Connection,
    received: Received<ProductChanged>,
    _: Context,
) -> Result<(), HandlerError> {
    Ok(price_book::put(connection, &received.event).await?)
}
