//! Replies to the saga's commands, the news that a parcel was delivered, and products.

use commerce_chassis::Connection;
use commerce_contracts::{OrderId, ProductChanged, ShipmentStatus, ShipmentStatusChanged};
use mainstay_inbox::{HandlerError, Handlers, Received};
use mainstay_messaging::{
    Message,
    event::{DecodeError, Event, decode},
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
    // A parcel is delivered behind the reply that it was dispatched.
    for (place, message) in messages.into_iter().enumerate() {
        let delivered = delivered(message);
        let delivered = delivered.map_err(|error| HandlerError::permanent(error).at(place))?;
        if let Some(order_id) = delivered {
            let recorded = context.orders.deliver(connection, &order_id).await;
            recorded.map_err(|error| error.at(place))?;
        }
    }
    Ok(())
}

/// The price book follows the catalog.
async fn product_changed(
    connection: &mut Connection,
    received: Received<ProductChanged>,
    _: Context,
) -> Result<(), HandlerError> {
    Ok(price_book::put(connection, &received.event).await?)
}

/// The order whose delivery the message tells.
fn delivered(message: &Message) -> Result<Option<OrderId>, DecodeError> {
    let answers = message.causation_id.as_deref().unwrap_or_default();
    let is_reply = answers.parse::<CommandId>().is_ok();
    if is_reply || message.kind.as_str() != ShipmentStatusChanged::KIND {
        return Ok(None);
    }
    let changed: ShipmentStatusChanged = decode(message)?;
    let is_delivered = changed.to == ShipmentStatus::Delivered;
    Ok(is_delivered.then_some(changed.order_id))
}
