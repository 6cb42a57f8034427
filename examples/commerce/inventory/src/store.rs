//! The tables of the inventory service. Sets go in one statement each.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use commerce_chassis::{Connection, Error, Pool, Result, column, rows, sql, touched};
use commerce_contracts::{OrderId, Sku};

use crate::{reservation::State, shelf::Level};

/// A hold with its lines.
#[derive(Clone, Debug)]
pub(crate) struct Reservation {
    pub(crate) order_id: OrderId,
    pub(crate) state: State,
    /// When the hold ends by itself; none = never.
    pub(crate) expires_at: Option<i64>,
    /// Messages it has emitted.
    pub(crate) emitted: i64,
    /// Summed per SKU; empty unless something is or was held.
    pub(crate) lines: BTreeMap<Sku, i64>,
}

/// Reads and locks the levels of SKUs.
pub(crate) async fn levels(
    connection: &mut Connection,
    skus: &BTreeSet<&Sku>,
) -> Result<HashMap<Sku, Level>> {
    let found: Vec<(String, i64, i64)> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT s.sku, s.on_hand, s.reserved FROM json_each($1) AS w CROSS JOIN stock_items AS s
         WHERE s.sku = w.value ->> 0 ORDER BY s.sku",
        "s"
    ))
    .bind(column(skus)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    Ok(found
        .into_iter()
        .map(|(sku, on_hand, reserved)| (Sku::new(sku), Level { on_hand, reserved }))
        .collect())
}

type Row = (
    String,
    String,
    Option<i64>,
    i64,
    Option<String>,
    Option<i64>,
);

/// Reads and locks reservations.
pub(crate) async fn load(
    connection: &mut Connection,
    orders: &BTreeSet<&OrderId>,
) -> Result<HashMap<OrderId, Reservation>> {
    let found: Vec<Row> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT r.order_id, r.state, r.expires_at, r.emitted, l.sku, l.quantity FROM json_each($1) AS w
         CROSS JOIN reservations AS r
         LEFT JOIN reservation_lines AS l ON l.order_id = r.order_id
         WHERE r.order_id = w.value ->> 0 ORDER BY r.order_id",
        "r"
    ))
    .bind(column(orders)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    let mut reservations: HashMap<OrderId, Reservation> = HashMap::new();
    for (order_id, state, expires_at, emitted, sku, quantity) in found {
        let state = State::from_name(&state)
            .ok_or_else(|| Error::damaged("a stored reservation", format!("state {state:?}")))?;
        let order_id = OrderId::new(order_id);
        let reservation = reservations
            .entry(order_id.clone())
            .or_insert_with(|| Reservation {
                order_id,
                state,
                expires_at,
                emitted,
                lines: BTreeMap::new(),
            });
        if let (Some(sku), Some(quantity)) = (sku, quantity) {
            reservation.lines.insert(Sku::new(sku), quantity);
        }
    }
    Ok(reservations)
}

/// Inserts reservations and their lines. All transactions insert in the same order.
pub(crate) async fn insert(
    connection: &mut Connection,
    reservations: &[Reservation],
    now: i64,
) -> Result<()> {
    let mut set: Vec<_> = reservations
        .iter()
        .map(|reservation| {
            let order_id = reservation.order_id.as_str();
            let id = format!("res-{order_id}");
            let state = reservation.state.name();
            let expires_at = reservation.expires_at;
            (order_id, id, state, reservation.emitted, expires_at)
        })
        .collect();
    set.sort_unstable();
    // Without `WHERE true`, SQLite's parser takes ON for a join's.
    let written = sqlx::query(
        "INSERT INTO reservations (order_id, reservation_id, state, emitted, expires_at, updated_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, CAST(value ->> 3 AS BIGINT), CAST(value ->> 4 AS BIGINT), $2
         FROM json_each($1) WHERE true
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(&mut *connection)
    .await
    .map_err(sql)?
    .rows_affected();
    touched(written, set.len(), Error::taken("a reservation"))?;
    let lines: Vec<_> = reservations
        .iter()
        .flat_map(|reservation| {
            let order_id = reservation.order_id.as_str();
            let lines = reservation.lines.iter();
            lines.map(move |(sku, quantity)| (order_id, sku, quantity))
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO reservation_lines (order_id, sku, quantity)
         SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT) FROM json_each($1)",
    )
    .bind(rows(&lines)?)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Updates the state of reservations that were held, refused or expired.
pub(crate) async fn save(
    connection: &mut Connection,
    reservations: &[&Reservation],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = reservations
        .iter()
        .map(|reservation| {
            (
                reservation.order_id.as_str(),
                reservation.state.name(),
                reservation.emitted,
                reservation.expires_at,
            )
        })
        .collect();
    let saved = sqlx::query(
        "UPDATE reservations SET state = w.value ->> 1, emitted = CAST(w.value ->> 2 AS BIGINT),
                                 expires_at = CAST(w.value ->> 3 AS BIGINT), updated_at = $2
         FROM json_each($1) AS w WHERE order_id = w.value ->> 0 AND state IN ('held', 'refused', 'expired')",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    complete(saved, reservations.len(), "a reservation")
}

/// Holds stock: one statement with one conditional update per SKU.
pub(crate) async fn hold(connection: &mut Connection, held: &BTreeMap<Sku, i64>) -> Result<()> {
    let set: Vec<_> = held.iter().collect();
    let updated = sqlx::query(
        "UPDATE stock_items SET reserved = reserved + CAST(w.value ->> 1 AS BIGINT), version = version + 1
         FROM json_each($1) AS w WHERE sku = w.value ->> 0 AND on_hand - reserved >= CAST(w.value ->> 1 AS BIGINT)",
    )
    .bind(rows(&set)?)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    complete(updated, held.len(), "the stock")
}

/// Releases held stock, or commits it if it is `leaving`.
pub(crate) async fn unhold(
    connection: &mut Connection,
    quantities: &BTreeMap<Sku, i64>,
    leaving: bool,
) -> Result<()> {
    // Lock first, in the order in which all transactions lock.
    levels(connection, &quantities.keys().collect()).await?;
    let set: Vec<_> = quantities.iter().collect();
    let updated = sqlx::query(
        "UPDATE stock_items SET reserved = reserved - CAST(w.value ->> 1 AS BIGINT), version = version + 1,
                                on_hand = on_hand - CASE WHEN $2 THEN CAST(w.value ->> 1 AS BIGINT) ELSE 0 END
         FROM json_each($1) AS w WHERE sku = w.value ->> 0 AND reserved >= CAST(w.value ->> 1 AS BIGINT)",
    )
    .bind(rows(&set)?)
    .bind(leaving)
    .execute(&mut *connection)
    .await
    .map_err(sql)?
    .rows_affected();
    complete(updated, quantities.len(), "the stock")
}

/// Inserts the movement of dispatched stock, one per order and SKU.
pub(crate) async fn move_out(
    connection: &mut Connection,
    reservations: &[&Reservation],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = reservations
        .iter()
        .flat_map(|reservation| {
            let lines = reservation.lines.iter();
            lines.map(move |(sku, quantity)| {
                let key = format!("dispatch:{}:{sku}", reservation.order_id);
                (key, sku, -quantity)
            })
        })
        .collect();
    sqlx::query(
        "INSERT INTO stock_movements (movement_key, sku, quantity, moved_at)
         SELECT value ->> 0, value ->> 1, CAST(value ->> 2 AS BIGINT), $2 FROM json_each($1)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// The orders whose holds have expired, oldest first.
pub(crate) async fn expired(reader: &Pool, now: i64, limit: i64) -> Result<Vec<OrderId>> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT order_id FROM reservations WHERE state = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    Ok(found.into_iter().map(OrderId::new).collect())
}

/// When the next hold expires.
pub(crate) async fn next_expiry(reader: &Pool) -> Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT min(expires_at) FROM reservations WHERE state = 'held' AND expires_at IS NOT NULL",
    )
    .fetch_one(reader)
    .await
    .map_err(sql)
}

fn complete(rows: u64, wanted: usize, what: &'static str) -> Result<()> {
    touched(rows, wanted, Error::Changed { what })
}

/// The level of one SKU, for a client.
pub(crate) async fn level(reader: &Pool, sku: &str) -> Result<Option<Level>> {
    let found: Option<(i64, i64)> =
        sqlx::query_as("SELECT on_hand, reserved FROM stock_items WHERE sku = $1")
            .bind(sku)
            .fetch_optional(reader)
            .await
            .map_err(sql)?;
    Ok(found.map(|(on_hand, reserved)| Level { on_hand, reserved }))
}
