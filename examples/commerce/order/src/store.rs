//! The tables of the order service. Sets go in one statement each.

use std::collections::{BTreeSet, HashMap, HashSet};

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

/// An answer that was given under an idempotency key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answered {
    /// The normalised request.
    pub(crate) request: String,
    pub(crate) order_id: OrderId,
    /// The body.
    pub(crate) answer: String,
}

pub(crate) async fn answered(
    connection: &mut Connection,
    keys: &[&str],
) -> Result<HashMap<String, Answered>> {
    let found: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT k.idempotency_key, k.request, k.order_id, k.answer
         FROM json_each($1) AS w CROSS JOIN idempotency_keys AS k WHERE k.idempotency_key = w.value ->> 0",
    )
    .bind(column(keys)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    Ok(found
        .into_iter()
        .map(|(key, request, order_id, answer)| {
            let order_id = OrderId::new(order_id);
            (
                key,
                Answered {
                    request,
                    order_id,
                    answer,
                },
            )
        })
        .collect())
}

pub(crate) async fn prices(
    connection: &mut Connection,
    skus: &HashSet<&Sku>,
) -> Result<HashMap<(Sku, Currency), Price>> {
    let found: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT p.sku, p.currency, p.unit_minor, p.tax_percent
         FROM json_each($1) AS w CROSS JOIN price_book AS p WHERE p.sku = w.value ->> 0",
    )
    .bind(column(skus)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    let damaged = |error| Error::damaged("a price", error);
    found
        .into_iter()
        .map(|(sku, currency, unit, tax_percent)| {
            let unit = Money::from_minor(unit).map_err(damaged)?;
            let currency = currency.parse().map_err(damaged)?;
            Ok(((Sku::new(sku), currency), Price { unit, tax_percent }))
        })
        .collect()
}

pub(crate) async fn customers(
    connection: &mut Connection,
    ids: &HashSet<&str>,
) -> Result<HashSet<String>> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT c.customer_id FROM json_each($1) AS w CROSS JOIN customers AS c WHERE c.customer_id = w.value ->> 0",
    )
    .bind(column(ids)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    Ok(found.into_iter().collect())
}

/// Inserts orders.
pub(crate) async fn insert(connection: &mut Connection, orders: &[&Order], now: i64) -> Result<()> {
    let set = orders
        .iter()
        .map(|order| {
            Ok((
                order.id.as_str(),
                &order.customer_id,
                order.currency.code(),
                order.total.minor(),
                order.progress.status.name(),
                rows(&order.details)?,
                order.changes,
                order.emitted,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    sqlx::query(
        "INSERT INTO orders (order_id, customer_id, currency, total_minor, status, awaiting, details, changes, emitted,
                             placed_at, updated_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BIGINT), value ->> 4, '[]', value ->> 5,
                CAST(value ->> 6 AS BIGINT), CAST(value ->> 7 AS BIGINT), $2, $2
         FROM json_each($1)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Inserts answers under their keys. All transactions insert in the same order, so none deadlock.
pub(crate) async fn answer(
    connection: &mut Connection,
    answers: &[(&str, &Answered)],
    now: i64,
) -> Result<()> {
    let mut set: Vec<_> = answers
        .iter()
        .map(|(key, given)| (key, &given.request, given.order_id.as_str(), &given.answer))
        .collect();
    set.sort_unstable_by_key(|(key, ..)| *key);
    // Without `WHERE true`, SQLite's parser takes ON for a join's.
    let written = sqlx::query(
        "INSERT INTO idempotency_keys (idempotency_key, request, order_id, answer, answered_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, $2 FROM json_each($1) WHERE true
         ON CONFLICT (idempotency_key) DO NOTHING",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    touched(written, set.len(), Error::taken("an idempotency key"))
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
