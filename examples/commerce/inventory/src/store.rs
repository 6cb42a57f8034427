//! The tables of the inventory service.

use commerce_chassis::{Connection, Error, ON_A_SERVER, Pool, Result, sql};
use commerce_contracts::{OrderId, Shortage, Sku};

use crate::{
    WAREHOUSE,
    reservation::{Lines, State},
};

/// Locks the stock until the transaction ends; call it before reading or changing any.
///
/// A transaction handles the messages of many orders, whose SKUs come in any order. Without this
/// lock, two transactions that take the same SKUs would deadlock.
pub(crate) async fn lock(connection: &mut Connection) -> Result<()> {
    if !ON_A_SERVER {
        return Ok(()); // one transaction writes at a time
    }
    sqlx::query(commerce_chassis::locking!(
        "SELECT name FROM warehouses WHERE name = $1",
        "warehouses"
    ))
    .bind(WAREHOUSE)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Takes all of `lines` from what is available, or nothing, and then says what is short.
pub(crate) async fn take(connection: &mut Connection, lines: &Lines) -> Result<Vec<Shortage>> {
    let (mut taken, mut shortages) = (Lines::new(), Vec::new());
    for (sku, quantity) in lines {
        let updated = sqlx::query(
            "UPDATE stock_items SET reserved = reserved + $2 WHERE sku = $1 AND on_hand - reserved >= $2",
        )
        .bind(sku.as_str())
        .bind(quantity)
        .execute(&mut *connection)
        .await
        .map_err(sql)?
        .rows_affected();
        if updated == 1 {
            taken.insert(sku.clone(), *quantity);
            continue;
        }
        let available =
            sqlx::query_scalar("SELECT on_hand - reserved FROM stock_items WHERE sku = $1")
                .bind(sku.as_str())
                .fetch_optional(&mut *connection)
                .await
                .map_err(sql)?;
        shortages.push(Shortage {
            sku: sku.clone(),
            requested: *quantity,
            available: available.unwrap_or(0),
        });
    }
    if !shortages.is_empty() {
        give_back(connection, &taken).await?;
    }
    Ok(shortages)
}

/// Makes taken stock available again.
pub(crate) async fn give_back(connection: &mut Connection, lines: &Lines) -> Result<()> {
    for (sku, quantity) in lines {
        let updated = sqlx::query("UPDATE stock_items SET reserved = reserved - $2 WHERE sku = $1")
            .bind(sku.as_str())
            .bind(quantity)
            .execute(&mut *connection)
            .await
            .map_err(sql)?
            .rows_affected();
        changed(updated, "the stock")?;
    }
    Ok(())
}

/// Takes stock that an order holds out of the warehouse; at most once per order.
pub(crate) async fn move_out(
    connection: &mut Connection,
    order_id: &OrderId,
    lines: &Lines,
    now: i64,
) -> Result<()> {
    for (sku, quantity) in lines {
        let updated = sqlx::query(
            "UPDATE stock_items SET on_hand = on_hand - $2, reserved = reserved - $2 WHERE sku = $1",
        )
        .bind(sku.as_str())
        .bind(quantity)
        .execute(&mut *connection)
        .await
        .map_err(sql)?
        .rows_affected();
        changed(updated, "the stock")?;
        sqlx::query(
            "INSERT INTO stock_movements (movement_key, sku, quantity, moved_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(format!("dispatch:{order_id}:{sku}"))
        .bind(sku.as_str())
        .bind(-quantity)
        .bind(now)
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
    }
    Ok(())
}

/// Inserts a reservation; a second one for an order is an error.
pub(crate) async fn insert(
    connection: &mut Connection,
    order_id: &OrderId,
    state: State,
    expires_at: Option<i64>,
    lines: &Lines,
) -> Result<()> {
    sqlx::query("INSERT INTO reservations (order_id, state, expires_at) VALUES ($1, $2, $3)")
        .bind(order_id.as_str())
        .bind(state.name())
        .bind(expires_at)
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
    for (sku, quantity) in lines {
        sqlx::query("INSERT INTO reservation_lines (order_id, sku, quantity) VALUES ($1, $2, $3)")
            .bind(order_id.as_str())
            .bind(sku.as_str())
            .bind(quantity)
            .execute(&mut *connection)
            .await
            .map_err(sql)?;
    }
    Ok(())
}

/// Sets a reservation's state, in which it does not expire.
pub(crate) async fn save(
    connection: &mut Connection,
    order_id: &OrderId,
    state: State,
) -> Result<()> {
    let updated =
        sqlx::query("UPDATE reservations SET state = $2, expires_at = NULL WHERE order_id = $1")
            .bind(order_id.as_str())
            .bind(state.name())
            .execute(connection)
            .await
            .map_err(sql)?
            .rows_affected();
    changed(updated, "a reservation")
}

fn changed(rows: u64, what: &'static str) -> Result<()> {
    if rows == 1 {
        Ok(())
    } else {
        Err(Error::Changed { what })
    }
}

/// The state and the lines of an order's reservation.
pub(crate) async fn find(
    connection: &mut Connection,
    order_id: &OrderId,
) -> Result<Option<(State, Lines)>> {
    let rows: Vec<(String, Option<String>, Option<i64>)> = sqlx::query_as(
        "SELECT r.state, l.sku, l.quantity FROM reservations AS r
         LEFT JOIN reservation_lines AS l ON l.order_id = r.order_id
         WHERE r.order_id = $1",
    )
    .bind(order_id.as_str())
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    let Some((state, ..)) = rows.first() else {
        return Ok(None);
    };
    let state = State::from_name(state)
        .ok_or_else(|| Error::damaged("a stored reservation", format!("state {state:?}")))?;
    let lines = rows
        .into_iter()
        .filter_map(|(_, sku, quantity)| Some((Sku::new(sku?), quantity?)));
    Ok(Some((state, lines.collect())))
}

/// The orders whose holds have expired, oldest first.
pub(crate) async fn expired(
    connection: &mut Connection,
    now: i64,
    limit: i64,
) -> Result<Vec<OrderId>> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT order_id FROM reservations WHERE state = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    Ok(found.into_iter().map(OrderId::new).collect())
}

/// When the next hold expires.
pub(crate) async fn next_expiry(reader: &Pool) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(expires_at) FROM reservations WHERE state = 'held'")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// The stock of one SKU: on hand, and reserved.
pub(crate) async fn level(reader: &Pool, sku: &str) -> Result<Option<(i64, i64)>> {
    sqlx::query_as("SELECT on_hand, reserved FROM stock_items WHERE sku = $1")
        .bind(sku)
        .fetch_optional(reader)
        .await
        .map_err(sql)
}
