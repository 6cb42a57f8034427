//! The read model: one row per order, written with each event of its stream.

use std::{iter::repeat, sync::LazyLock};

use commerce_chassis::{Connection, Error, Result, sql};
use mainstay_eventstore::Loaded;
use serde_json::Value;
use sqlx::Row as _;

use crate::order::{Order, Placed, Status};

/// An order as clients see it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) customer_id: String,
    pub(crate) currency: String,
    pub(crate) total_minor: i64,
    pub(crate) lines: Value,
    pub(crate) status: String,
    /// The events that it includes.
    pub(crate) version: u64,
}

/// Inserts the row of an order that was placed.
pub(crate) async fn insert(connection: &mut Connection, placed: &Placed, now: i64) -> Result<()> {
    let lines = serde_json::to_string(&placed.lines);
    let lines = lines.map_err(|error| Error::damaged("an order", error))?;
    sqlx::query(
        "INSERT INTO order_view (order_id, customer_id, currency, total_minor, lines, status, version, placed_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)",
    )
    .bind(placed.order_id.as_str())
    .bind(&placed.customer_id)
    .bind(placed.currency.code())
    .bind(placed.total.minor())
    .bind(lines)
    .bind(Status::Placed.name())
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Writes what has changed.
pub(crate) async fn update(
    connection: &mut Connection,
    order: &Loaded<Order>,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE order_view SET status = $2, version = $3, updated_at = $4 WHERE order_id = $1",
    )
    .bind(order.id())
    .bind(order.status.map(Status::name))
    .bind(order.version().cast_signed())
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Rows that one statement writes.
const ROWS: usize = 16;

/// As [`update`], for several orders. Both databases name the columns of VALUES so.
static UPDATE_ALL: LazyLock<String> = LazyLock::new(|| {
    let row = |nth: usize| {
        let first = 2 + 3 * nth;
        format!("(${first}, ${}, CAST(${} AS BIGINT))", first + 1, first + 2)
    };
    let rows: Vec<String> = (0..ROWS).map(row).collect();
    format!(
        "UPDATE order_view SET status = v.column2, version = v.column3, updated_at = $1
         FROM (VALUES {}) AS v WHERE order_view.order_id = v.column1",
        rows.join(", ")
    )
});

/// Writes what has changed of several orders.
pub(crate) async fn update_all(
    connection: &mut Connection,
    orders: &[&Loaded<Order>],
    now: i64,
) -> Result<()> {
    for orders in orders.chunks(ROWS) {
        let [first, others @ ..] = orders else {
            continue;
        };
        if others.is_empty() {
            update(connection, first, now).await?;
            continue;
        }
        let mut updating = sqlx::query(UPDATE_ALL.as_str()).bind(now);
        // The first one fills what is left: the statement has always as many rows.
        for order in orders.iter().chain(repeat(first)).take(ROWS) {
            updating = updating
                .bind(order.id())
                .bind(order.status.map(Status::name))
                .bind(order.version().cast_signed());
        }
        updating.execute(&mut *connection).await.map_err(sql)?;
    }
    Ok(())
}

pub(crate) async fn find(connection: &mut Connection, id: &str) -> Result<Option<Row>> {
    let found = sqlx::query(
        "SELECT customer_id, currency, total_minor, lines, status, version FROM order_view WHERE order_id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    let Some(row) = found else {
        return Ok(None);
    };
    let lines: &str = row.try_get("lines").map_err(sql)?;
    let lines = serde_json::from_str(lines);
    Ok(Some(Row {
        customer_id: row.try_get("customer_id").map_err(sql)?,
        currency: row.try_get("currency").map_err(sql)?,
        total_minor: row.try_get("total_minor").map_err(sql)?,
        lines: lines.map_err(|error| Error::damaged("an order's row", error))?,
        status: row.try_get("status").map_err(sql)?,
        version: row
            .try_get::<i64, _>("version")
            .map_err(sql)?
            .cast_unsigned(),
    }))
}
