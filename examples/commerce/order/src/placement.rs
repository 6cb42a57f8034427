//! Places an order, in the transaction that keeps its answer.

use axum::http::StatusCode;
use commerce_chassis::Connection;
use mainstay_idempotency::{Answer, http::Problem};
use serde_json::json;

use crate::{
    order::{Placed, Status},
    orders::Orders,
    price_book,
    pricing::{Quote, quote},
    request::{Placement, clip, invalid},
    saga::{PlaceOrder, PlaceOrderSaga},
};

/// What placing needs besides the transaction. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Placing {
    pub(crate) saga: PlaceOrderSaga,
    pub(crate) orders: Orders,
}

/// Prices and places an order, and starts its saga. A commit makes it one with its answer; a
/// rollback leaves nothing.
pub(crate) async fn place(
    connection: &mut Connection,
    placement: &Placement,
    placing: &Placing,
) -> Result<Answer, Problem> {
    let request = &placement.request;
    // No name contains a NUL, and PostgreSQL refuses a parameter with one.
    let customer = &*request.customer_id;
    if customer.contains('\0') || !price_book::is_customer(connection, customer).await? {
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
        customer_id: request.customer_id.clone(),
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

    let answer = json!({"order_id": order_id, "status": Status::Placed.name()});
    let location = format!("/api/v1/orders/{order_id}");
    Ok(Answer::json(StatusCode::ACCEPTED, &answer)?.header("location", location))
}

/// Prices come from the price book, never from the request.
async fn price(connection: &mut Connection, placement: &Placement) -> Result<Quote, Problem> {
    let mut lines = Vec::with_capacity(placement.request.lines.len());
    for line in &placement.request.lines {
        let price = if line.sku.as_str().contains('\0') {
            None
        } else {
            price_book::price(connection, &line.sku, placement.currency).await?
        };
        let price = price.ok_or_else(|| {
            invalid(
                "unknown-sku",
                "There is no such product",
                format!("{:?}", clip(line.sku.as_str())),
            )
        })?;
        lines.push((line.sku.clone(), line.quantity, price));
    }
    quote(lines).map_err(|error| {
        let too_large = "The amount is too large";
        invalid("amount-overflow", too_large, error.to_string()).into()
    })
}
