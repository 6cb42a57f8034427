//! Replies to the saga's commands, news of parcels and of the money of returns, and products.

use commerce_chassis::Connection;
use commerce_contracts::{PaymentRefunded, ProductChanged, ShipmentStatus, ShipmentStatusChanged};
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::{
    Message,
    event::{Event, decode},
};
use mainstay_saga::{CommandId, Error};

use crate::{
    orders::Orders,
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
    for (place, message) in messages.into_iter().enumerate() {
        let heard = hear(connection, message, &context.orders).await;
        heard.map_err(|error| error.at(place))?;
    }
    Ok(())
}

/// Takes what is news and no reply.
async fn hear(
    connection: &mut Connection,
    message: &Message,
    orders: &Orders,
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
                ShipmentStatus::Delivered => orders.deliver(connection, id).await,
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
