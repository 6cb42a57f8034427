//! Places an order, in the transaction that keeps its answer.

use axum::http::StatusCode;
use commerce_chassis::{Connection, utoipa};
use mainstay_idempotency::{Answer, http::Problem};
use mainstay_messaging::Cause;
use serde::Serialize;

use crate::{
    order::{Placed, Status},
    orders::Orders,
    price_book::{self, Offer},
    pricing::{Quote, quote},
    request::{Placement, clip, invalid},
    saga::{PlaceOrder, PlaceOrderSaga},
};

/// What placing needs besides the transaction. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Placing {
    pub(crate) saga: PlaceOrderSaga,
    pub(crate) orders: Orders,
    /// The request, whose trace the order's messages belong to.
    pub(crate) cause: Cause,
}

/// An order that was accepted, or is being cancelled.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Accepted {
    pub(crate) order_id: String,
    #[schema(example = "placed")]
    pub(crate) status: &'static str,
}

/// Prices and places an order, and starts its saga. A commit makes it one with its answer; a
/// rollback leaves nothing.
pub(crate) async fn place(
    connection: &mut Connection,
    placement: &Placement,
    placing: &Placing,
) -> Result<Answer, Problem> {
    let cause = placing.cause.clone();
    cause.scope(write(connection, placement, placing)).await
}

async fn write(
    connection: &mut Connection,
    placement: &Placement,
    placing: &Placing,
) -> Result<Answer, Problem> {
    let request = &placement.request;
    // No name contains a NUL, and PostgreSQL refuses a parameter with one.
    let customer = &*placement.customer_id;
    let is_known = placement.is_vouched
        || (!customer.contains('\0') && price_book::is_customer(connection, customer).await?);
    if !is_known {
        let unknown = invalid(
            "unknown-customer",
            "There is no such customer",
            format!("{:?}", clip(customer)),
        );
        return Err(unknown.into());
    }
    let quote = price(connection, placement).await?;
    let order_id = placing.orders.new_id();
    let placed = Placed {
        order_id: order_id.clone(),
        customer_id: placement.customer_id.clone(),
        currency: placement.currency,
        lines: quote.lines,
        subtotal: quote.subtotal,
        shipping: quote.shipping,
        tax: quote.tax,
        discount: quote.discount,
        total: quote.total,
        payment_method: request.payment_method.clone(),
        ship_to: request.ship_to.clone(),
    };
    let input = PlaceOrder::from(&placed);
    placing.orders.place(connection, placed).await?;
    // The id is new, and so is the run.
    let _new = placing
        .saga
        .start(connection, order_id.as_str(), &input)
        .await?;

    let location = format!("/api/v1/orders/{order_id}");
    let answer = Accepted {
        order_id: order_id.to_string(),
        status: Status::Placed.name(),
    };
    Ok(Answer::json(StatusCode::ACCEPTED, &answer)?.header("location", location))
}

/// Prices come from the price book, never from the request.
async fn price(connection: &mut Connection, placement: &Placement) -> Result<Quote, Problem> {
    let mut lines = Vec::with_capacity(placement.request.lines.len());
    for line in &placement.request.lines {
        let offer = if line.sku.as_str().contains('\0') {
            None
        } else {
            price_book::offer(connection, &line.sku, placement.currency).await?
        };
        let (slug, title) = match offer {
            Some(Offer::ForSale(price)) => {
                lines.push((line.sku.clone(), line.quantity, price));
                continue;
            }
            Some(Offer::Retired) => ("product-not-for-sale", "The product is not sold any more"),
            None => ("unknown-sku", "There is no such product"),
        };
        return Err(invalid(slug, title, format!("{:?}", clip(line.sku.as_str()))).into());
    }
    quote(lines).map_err(|error| {
        let too_large = "The amount is too large";
        invalid("amount-overflow", too_large, error.to_string()).into()
    })
}
