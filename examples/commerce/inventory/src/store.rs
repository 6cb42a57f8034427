//! The tables of the inventory service.

use commerce_chassis::{Connection, Error, ON_A_SERVER, Pool, Result, sql};
use commerce_contracts::{OrderId, ProductChanged, ProductStatus, Shortage, Sku};

use crate::{
    WAREHOUSE,
    level::Level,
    reservation::{Lines, State},
};

/// Pieces of a SKU at most.
pub(crate) const MOST_ON_HAND: i64 = 1_000_000_000;

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
///
/// # Returns
/// The levels of the SKUs behind it, if it took; otherwise the shortages.
pub(crate) async fn take(
    connection: &mut Connection,
    lines: &Lines,
) -> Result<Result<Vec<Level>, Vec<Shortage>>> {
    let (mut taken, mut levels, mut shortages) = (Lines::new(), Vec::new(), Vec::new());
    for (sku, quantity) in lines {
        let updated: Option<(i64, i64, i64)> = sqlx::query_as(
            "UPDATE stock_items SET reserved = reserved + $2, version = version + 1
             WHERE sku = $1 AND on_hand - reserved >= $2 AND status = 'active' RETURNING on_hand, reserved, version",
        )
        .bind(sku.as_str())
        .bind(quantity)
        .fetch_optional(&mut *connection)
        .await
        .map_err(sql)?;
        if let Some(row) = updated {
            taken.insert(sku.clone(), *quantity);
            levels.push(Level::behind(sku, row, -quantity));
            continue;
        }
        let available = sqlx::query_scalar(
            "SELECT on_hand - reserved FROM stock_items WHERE sku = $1 AND status = 'active'",
        )
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
    if shortages.is_empty() {
        return Ok(Ok(levels));
    }
    give_back(connection, &taken).await?;
    Ok(Err(shortages))
}

/// Makes taken stock available again. The levels of the SKUs behind it.
pub(crate) async fn give_back(connection: &mut Connection, lines: &Lines) -> Result<Vec<Level>> {
    let mut levels = Vec::with_capacity(lines.len());
    for (sku, quantity) in lines {
        let updated: Option<(i64, i64, i64)> = sqlx::query_as(
            "UPDATE stock_items SET reserved = reserved - $2, version = version + 1
             WHERE sku = $1 RETURNING on_hand, reserved, version",
        )
        .bind(sku.as_str())
        .bind(quantity)
        .fetch_optional(&mut *connection)
        .await
        .map_err(sql)?;
        let row = updated.ok_or(Error::Changed { what: "the stock" })?;
        levels.push(Level::behind(sku, row, *quantity));
    }
    Ok(levels)
}

/// Takes stock that an order holds out of the warehouse; at most once per order. As much is
/// available as before.
pub(crate) async fn move_out(
    connection: &mut Connection,
    order_id: &OrderId,
    lines: &Lines,
    now: i64,
) -> Result<()> {
    for (sku, quantity) in lines {
        let updated = sqlx::query(
            "UPDATE stock_items SET on_hand = on_hand - $2, reserved = reserved - $2, version = version + 1 WHERE sku = $1",
        )
        .bind(sku.as_str())
        .bind(quantity)
        .execute(&mut *connection)
        .await
        .map_err(sql)?
        .rows_affected();
        changed(updated, "the stock")?;
        let key = format!("dispatch:{order_id}:{sku}");
        if !moved(connection, &key, sku.as_str(), -quantity, now).await? {
            return Err(Error::Changed {
                what: "the movements of the stock",
            });
        }
    }
    Ok(())
}

/// Puts the stock of an order that had left back on its shelf; at most once per order. The levels of
/// the SKUs behind it.
pub(crate) async fn move_in(
    connection: &mut Connection,
    order_id: &OrderId,
    lines: &Lines,
    now: i64,
) -> Result<Vec<Level>> {
    let mut levels = Vec::with_capacity(lines.len());
    for (sku, quantity) in lines {
        let key = format!("return:{order_id}:{sku}");
        if !moved(connection, &key, sku.as_str(), *quantity, now).await? {
            continue;
        }
        let updated: Option<(i64, i64, i64)> = sqlx::query_as(
            "UPDATE stock_items SET on_hand = on_hand + $2, version = version + 1
             WHERE sku = $1 RETURNING on_hand, reserved, version",
        )
        .bind(sku.as_str())
        .bind(quantity)
        .fetch_optional(&mut *connection)
        .await
        .map_err(sql)?;
        let row = updated.ok_or(Error::Changed { what: "the stock" })?;
        levels.push(Level::behind(sku, row, *quantity));
    }
    Ok(levels)
}

/// Adds pieces to what is on hand, or takes free ones away; none: so many are not free, or there is
/// no such SKU. Write the movement first.
pub(crate) async fn adjust(
    connection: &mut Connection,
    sku: &Sku,
    quantity: i64,
) -> Result<Option<Level>> {
    let updated: Option<(i64, i64, i64)> = sqlx::query_as(
        "UPDATE stock_items SET on_hand = on_hand + $2, version = version + 1
         WHERE sku = $1 AND on_hand + $2 BETWEEN reserved AND $3 RETURNING on_hand, reserved, version",
    )
    .bind(sku.as_str())
    .bind(quantity)
    .bind(MOST_ON_HAND)
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    Ok(updated.map(|row| Level::behind(sku, row, quantity)))
}

/// Records a movement of stock on hand; false: it is known.
pub(crate) async fn moved(
    connection: &mut Connection,
    movement_key: &str,
    sku: &str,
    quantity: i64,
    now: i64,
) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO stock_movements (movement_key, sku, quantity, moved_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (movement_key) DO NOTHING",
    )
    .bind(movement_key)
    .bind(sku)
    .bind(quantity)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    Ok(inserted == 1)
}

/// Creates the stock item of a product, or retires it, unless a later version of the product is known.
pub(crate) async fn follow(connection: &mut Connection, product: &ProductChanged) -> Result<()> {
    sqlx::query(
        "INSERT INTO stock_items (sku, on_hand, reserved, version, status, product_version) VALUES ($1, 0, 0, 1, $2, $3)
         ON CONFLICT (sku) DO UPDATE SET status = excluded.status, product_version = excluded.product_version,
             version = stock_items.version + 1
         WHERE stock_items.product_version < excluded.product_version",
    )
    .bind(product.sku.as_str())
    .bind(product.status.name())
    .bind(product.version)
    .execute(connection)
    .await
    .map_err(sql)?;
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
        "SELECT order_id FROM reservations WHERE state = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 + 0",
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

/// The stock of one SKU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Item {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) version: i64,
    pub(crate) status: ProductStatus,
}

/// The stock of one SKU.
pub(crate) async fn item(connection: &mut Connection, sku: &str) -> Result<Option<Item>> {
    let found: Option<(i64, i64, i64, String)> =
        sqlx::query_as("SELECT on_hand, reserved, version, status FROM stock_items WHERE sku = $1")
            .bind(sku)
            .fetch_optional(connection)
            .await
            .map_err(sql)?;
    let Some((on_hand, reserved, version, status)) = found else {
        return Ok(None);
    };
    let status = ProductStatus::from_name(&status)
        .ok_or_else(|| Error::damaged("a stock item", format!("status {status:?}")))?;
    Ok(Some(Item {
        on_hand,
        reserved,
        version,
        status,
    }))
}

/// When the hold of an order expires, if it does.
pub(crate) async fn expires_at(
    connection: &mut Connection,
    order_id: &OrderId,
) -> Result<Option<i64>> {
    let found: Option<Option<i64>> =
        sqlx::query_scalar("SELECT expires_at FROM reservations WHERE order_id = $1")
            .bind(order_id.as_str())
            .fetch_optional(connection)
            .await
            .map_err(sql)?;
    Ok(found.flatten())
}
