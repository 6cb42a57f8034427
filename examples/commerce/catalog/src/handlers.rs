//! What other services tell of products: sales and stock levels.

use std::collections::BTreeMap;

use commerce_chassis::Connection;
use commerce_contracts::{Availability, OrderCompleted, Sku, StockLevelChanged};
use mainstay_inbox::{HandlerError, Handlers, Received};

use crate::view;

pub(crate) fn handlers() -> Handlers<Connection> {
    Handlers::new().on(completed).on(stock_changed)
}

/// Counts what an order has sold.
async fn completed(
    tx: &mut Connection,
    received: Received<OrderCompleted>,
) -> Result<(), HandlerError> {
    let order = received.event;
    let mut sold: BTreeMap<&Sku, i64> = BTreeMap::new();
    for line in &order.lines {
        *sold.entry(&line.sku).or_default() += line.qty;
    }
    view::lock(tx).await?;
    for (sku, quantity) in sold {
        view::sold(tx, &order.order_id, sku, quantity).await?;
    }
    Ok(())
}

/// Shows whether a product can be had.
async fn stock_changed(
    tx: &mut Connection,
    received: Received<StockLevelChanged>,
) -> Result<(), HandlerError> {
    let level = received.event;
    let availability = Availability::of(level.available);
    view::lock(tx).await?;
    if view::set_availability(tx, &level.sku, availability, level.version).await? {
        view::advance(tx).await?;
    }
    Ok(())
}
