//! The tables of the order service. Sets go in one statement each.

use std::collections::{BTreeSet, HashMap};

use commerce_chassis::{Connection, Error, Pool, Result, column, rows, sql, touched};
use commerce_contracts::{Address, CompensationStep, Currency, Money, OrderId, OrderLine, Sku};
use serde::{Deserialize, Serialize};

use crate::{
    pricing::Price,
    status::{Progress, Status},
};

/// The part of an order that never changes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) struct Details {
    pub(crate) lines: Vec<OrderLine>,
    pub(crate) subtotal: Money,
    pub(crate) shipping: Money,
    pub(crate) tax: Money,
    pub(crate) discount: Money,
    pub(crate) payment_method: String,
    pub(crate) ship_to: Address,
}

/// An order.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) customer_id: String,
    pub(crate) currency: Currency,
    pub(crate) total: Money,
    pub(crate) details: Details,
    pub(crate) progress: Progress,
    /// Rows of its history.
    pub(crate) changes: i64,
    /// Messages it has emitted.
    pub(crate) emitted: i64,
}

/// A row of an order's history.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) order_id: OrderId,
    pub(crate) number: i64,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
}

/// The prices of products in a currency.
pub(crate) async fn prices(
    connection: &mut Connection,
    currency: Currency,
    skus: impl Iterator<Item = &Sku>,
) -> Result<HashMap<Sku, Price>> {
    let found: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT p.sku, p.unit_minor, p.tax_percent FROM json_each($1) AS w CROSS JOIN price_book AS p
         WHERE p.sku = w.value ->> 0 AND p.currency = $2",
    )
    .bind(column(skus)?)
    .bind(currency.code())
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    found
        .into_iter()
        .map(|(sku, unit, tax_percent)| {
            let unit = Money::from_minor(unit).map_err(|error| Error::damaged("a price", error))?;
            Ok((Sku::new(sku), Price { unit, tax_percent }))
        })
        .collect()
}

pub(crate) async fn is_customer(connection: &mut Connection, id: &str) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM customers WHERE customer_id = $1)")
        .bind(id)
        .fetch_one(connection)
        .await
        .map_err(sql)
}

/// Inserts an order.
pub(crate) async fn insert(connection: &mut Connection, order: &Order, now: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO orders (order_id, customer_id, currency, total_minor, status, awaiting, details, changes, emitted,
                             placed_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, '[]', $6, $7, $8, $9, $9)",
    )
    .bind(order.id.as_str())
    .bind(&order.customer_id)
    .bind(order.currency.code())
    .bind(order.total.minor())
    .bind(order.progress.status.name())
    .bind(rows(&order.details)?)
    .bind(order.changes)
    .bind(order.emitted)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

pub(crate) async fn write_history(
    connection: &mut Connection,
    changes: &[Change],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change.order_id.as_str(),
                change.number,
                change.status.name(),
                &change.reason,
            )
        })
        .collect();
    sqlx::query(
        "INSERT INTO order_history (order_id, change, status, reason, at)
         SELECT value ->> 0, CAST(value ->> 1 AS BIGINT), value ->> 2, value ->> 3, $2 FROM json_each($1)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

type Row = (
    String,
    String,
    String,
    i64,
    String,
    String,
    String,
    i64,
    i64,
);

/// Reads and locks orders.
pub(crate) async fn load(
    connection: &mut Connection,
    ids: &BTreeSet<&OrderId>,
) -> Result<HashMap<OrderId, Order>> {
    let found: Vec<Row> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT o.order_id, o.customer_id, o.currency, o.total_minor, o.status, o.awaiting, o.details, o.changes, o.emitted
         FROM json_each($1) AS w CROSS JOIN orders AS o WHERE o.order_id = w.value ->> 0 ORDER BY o.order_id",
        "o"
    ))
    .bind(column(ids)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    found
        .into_iter()
        .map(|row| {
            let order = read(row)?;
            Ok((order.id.clone(), order))
        })
        .collect()
}

fn read(row: Row) -> Result<Order> {
    let (order_id, customer_id, currency, total, status, awaiting, details, changes, emitted) = row;
    let json = |error: serde_json::Error| Error::damaged("a stored order", error);
    let amount = |error| Error::damaged("a stored order", error);
    let awaiting: BTreeSet<CompensationStep> = serde_json::from_str(&awaiting).map_err(json)?;
    Ok(Order {
        id: OrderId::new(order_id),
        customer_id,
        currency: currency.parse().map_err(amount)?,
        total: Money::from_minor(total).map_err(amount)?,
        details: serde_json::from_str(&details).map_err(json)?,
        progress: Progress {
            status: Status::from_name(&status)
                .ok_or_else(|| Error::damaged("a stored order", format!("status {status:?}")))?,
            awaiting,
        },
        changes,
        emitted,
    })
}

/// Updates orders. Each comes with the number of its history rows when it was read.
pub(crate) async fn save(
    connection: &mut Connection,
    orders: &[(&Order, i64)],
    now: i64,
) -> Result<()> {
    let set = orders
        .iter()
        .map(|(order, seen)| {
            Ok((
                order.id.as_str(),
                seen,
                order.progress.status.name(),
                rows(&order.progress.awaiting)?,
                order.changes,
                order.emitted,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let saved = sqlx::query(
        "UPDATE orders SET status = w.value ->> 2, awaiting = w.value ->> 3, changes = CAST(w.value ->> 4 AS BIGINT),
                           emitted = CAST(w.value ->> 5 AS BIGINT), updated_at = $2
         FROM json_each($1) AS w WHERE order_id = w.value ->> 0 AND changes = CAST(w.value ->> 1 AS BIGINT)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    touched(saved, orders.len(), Error::Changed { what: "an order" })
}

/// A row of an order's history: status, time, reason.
pub(crate) type HistoryRow = (String, i64, Option<String>);

/// Reads an order and its history for a client.
pub(crate) async fn show(
    reader: &Pool,
    order_id: &str,
) -> Result<Option<(Order, Vec<HistoryRow>)>> {
    let found: Option<Row> = sqlx::query_as(
        "SELECT order_id, customer_id, currency, total_minor, status, awaiting, details, changes, emitted
         FROM orders WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(reader)
    .await
    .map_err(sql)?;
    let Some(row) = found else {
        return Ok(None);
    };
    let order = read(row)?;
    // Skip changes that were committed since the order was read.
    let history: Vec<HistoryRow> = sqlx::query_as(
        "SELECT status, at, reason FROM order_history WHERE order_id = $1 AND change <= $2 ORDER BY change",
    )
    .bind(order_id)
    .bind(order.changes)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    Ok(Some((order, history)))
}
