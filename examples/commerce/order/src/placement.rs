//! Places an order, in the transaction that keeps its answer.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::http::StatusCode;
use commerce_chassis::{Cause, Connection, Journal, ServiceBuilder};
use commerce_contracts::{OrderId, OrderPlaced, Sku};
use mainstay_clock::IdGenerator;
use mainstay_idempotency::{Answer, http::Problem};
use serde_json::json;

use crate::{
    pricing::{Price, quote},
    request::{Placement, clip, invalid},
    status::{Progress, Status},
    store::{self, Change, Details, Order},
};

/// What placing needs besides the transaction.
#[derive(Clone, Debug)]
pub(crate) struct Placing {
    journal: Journal,
    ids: Arc<dyn IdGenerator>,
}

impl Placing {
    pub(crate) fn new(builder: &ServiceBuilder) -> Self {
        Self {
            journal: builder.journal().clone(),
            ids: Arc::clone(builder.ids()),
        }
    }
}

/// Prices and places an order. A commit makes it one with its answer; a rollback leaves nothing.
pub(crate) async fn place(
    connection: &mut Connection,
    placement: &Placement,
    placing: &Placing,
) -> Result<Answer, Problem> {
    let request = &placement.request;
    // No name contains a NUL, and PostgreSQL refuses a parameter with one.
    let customer = &*request.customer_id;
    if customer.contains('\0') || !store::is_customer(connection, customer).await? {
        let unknown = invalid(
            "unknown-customer",
            "There is no such customer",
            format!("{:?}", clip(customer)),
        );
        return Err(unknown.into());
    }
    let skus: HashSet<&Sku> = request.lines.iter().map(|line| &line.sku).collect();
    let skus = skus.into_iter().filter(|sku| !sku.as_str().contains('\0'));
    let prices = store::prices(connection, placement.currency, skus).await?;
    let order_id = OrderId::new(placing.ids.uuid().to_string());
    let mut order = price(placement, order_id, &prices)?;

    let mut entries = placing.journal.entries();
    let event = placed(&order);
    entries.emit(
        order.id.as_str(),
        &mut order.emitted,
        &event,
        Cause::default(),
    )?;
    let now = placing.journal.now();
    store::insert(connection, &order, now).await?;
    let first = Change {
        order_id: order.id.clone(),
        number: 1,
        status: Status::Placed,
        reason: None,
    };
    store::write_history(connection, &[first], now).await?;
    entries.write(connection).await?;

    let answer = json!({"order_id": order.id, "status": Status::Placed.name()});
    let location = format!("/api/v1/orders/{}", order.id);
    Ok(Answer::json(StatusCode::ACCEPTED, &answer)?.header("location", location))
}

fn placed(order: &Order) -> OrderPlaced {
    OrderPlaced {
        order_id: order.id.clone(),
        customer_id: order.customer_id.clone(),
        currency: order.currency,
        lines: order.details.lines.clone(),
        subtotal_minor: order.details.subtotal,
        shipping_minor: order.details.shipping,
        tax_minor: order.details.tax,
        discount_minor: order.details.discount,
        total_minor: order.total,
        ship_to: order.details.ship_to.clone(),
    }
}

fn price(
    placement: &Placement,
    order_id: OrderId,
    prices: &HashMap<Sku, Price>,
) -> Result<Order, commerce_chassis::Problem> {
    let (request, currency) = (&placement.request, placement.currency);
    let mut lines = Vec::with_capacity(request.lines.len());
    for line in &request.lines {
        let price = prices.get(&line.sku).ok_or_else(|| {
            invalid(
                "unknown-sku",
                "There is no such product",
                format!("{:?}", clip(line.sku.as_str())),
            )
        })?;
        lines.push((line.sku.clone(), line.quantity, *price));
    }
    let quote = quote(lines).map_err(|error| {
        invalid(
            "amount-overflow",
            "The amount is too large",
            error.to_string(),
        )
    })?;
    Ok(Order {
        id: order_id,
        customer_id: request.customer_id.clone(),
        currency,
        total: quote.total,
        details: Details {
            lines: quote.lines,
            subtotal: quote.subtotal,
            shipping: quote.shipping,
            tax: quote.tax,
            discount: quote.discount,
            payment_method: request.payment_method.clone(),
            ship_to: request.ship_to.clone(),
        },
        progress: Progress {
            status: Status::Placed,
            awaiting: [].into(),
        },
        changes: 1,
        emitted: 0,
    })
}
