//! The tables of the shipping service. Sets go in one statement each.

use std::collections::{BTreeSet, HashMap};

use commerce_chassis::{Connection, Error, Pool, Result, column, rows, sql, touched};
use commerce_contracts::{OrderId, ShipmentStatus};

/// A shipment.
#[derive(Clone, Debug)]
pub(crate) struct Shipment {
    pub(crate) order_id: OrderId,
    pub(crate) status: ShipmentStatus,
    /// Messages it has emitted.
    pub(crate) emitted: i64,
    /// Microseconds since 1970.
    pub(crate) due_at: Option<i64>,
}

impl Shipment {
    pub(crate) fn id(&self) -> String {
        format!("shp-{}", self.order_id)
    }

    pub(crate) fn tracking_no(&self) -> String {
        let id: String = self.order_id.as_str().replace('-', "").to_uppercase();
        format!("MS{id}")
    }
}

/// Contents and address of a shipment, as JSON.
pub(crate) struct Parcel {
    pub(crate) ship_to: String,
    pub(crate) contents: String,
}

type Row = (String, String, i64, Option<i64>);

fn read((order_id, status, emitted, due_at): Row) -> Result<Shipment> {
    Ok(Shipment {
        order_id: OrderId::new(order_id),
        status: ShipmentStatus::from_name(&status)
            .ok_or_else(|| Error::damaged("a stored shipment", format!("status {status:?}")))?,
        emitted,
        due_at,
    })
}

/// Inserts shipments. A second one for an order is an error.
pub(crate) async fn insert(
    connection: &mut Connection,
    shipments: &[(Shipment, Parcel)],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = shipments
        .iter()
        .map(|(shipment, parcel)| {
            (
                shipment.order_id.as_str(),
                shipment.id(),
                shipment.tracking_no(),
                shipment.status.name(),
                &parcel.ship_to,
                &parcel.contents,
                shipment.due_at,
                shipment.emitted,
            )
        })
        .collect();
    sqlx::query(
        "INSERT INTO shipments (order_id, shipment_id, tracking_no, status, ship_to, contents, due_at, emitted, updated_at)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, CAST(value ->> 6 AS BIGINT),
                CAST(value ->> 7 AS BIGINT), $2
         FROM json_each($1)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Reads and locks shipments.
pub(crate) async fn load(
    connection: &mut Connection,
    orders: &BTreeSet<&OrderId>,
) -> Result<HashMap<OrderId, Shipment>> {
    let found: Vec<Row> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT s.order_id, s.status, s.emitted, s.due_at FROM json_each($1) AS w CROSS JOIN shipments AS s
         WHERE s.order_id = w.value ->> 0 ORDER BY s.order_id",
        "s"
    ))
    .bind(column(orders)?)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    found
        .into_iter()
        .map(|row| {
            let shipment = read(row)?;
            Ok((shipment.order_id.clone(), shipment))
        })
        .collect()
}

/// Reads and locks due shipments. Shipments that another transaction has locked are skipped.
pub(crate) async fn due(
    connection: &mut Connection,
    now: i64,
    limit: i64,
) -> Result<Vec<Shipment>> {
    let found: Vec<Row> = sqlx::query_as(commerce_chassis::locking_free!(
        "SELECT order_id, status, emitted, due_at FROM shipments WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
        "shipments"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    found.into_iter().map(read).collect()
}

/// When the next shipment falls due.
pub(crate) async fn next_due(reader: &Pool) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(due_at) FROM shipments WHERE due_at IS NOT NULL")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// Updates shipments. Each comes with the status that it had before.
pub(crate) async fn save(
    connection: &mut Connection,
    moved: &[(Shipment, ShipmentStatus)],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = moved
        .iter()
        .map(|(shipment, before)| {
            (
                shipment.order_id.as_str(),
                before.name(),
                shipment.status.name(),
                shipment.due_at,
                shipment.emitted,
            )
        })
        .collect();
    let saved = sqlx::query(
        "UPDATE shipments SET status = w.value ->> 2, due_at = CAST(w.value ->> 3 AS BIGINT), emitted = CAST(w.value ->> 4 AS BIGINT),
                              updated_at = $2
         FROM json_each($1) AS w WHERE order_id = w.value ->> 0 AND status = w.value ->> 1",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    touched(saved, moved.len(), Error::Changed { what: "a shipment" })
}

/// Inserts tracking events; a second one for a status is an error.
pub(crate) async fn track(
    connection: &mut Connection,
    entered: &[(&OrderId, ShipmentStatus)],
    now: i64,
) -> Result<()> {
    let set: Vec<_> = entered
        .iter()
        .map(|(order_id, status)| (order_id.as_str(), status.name()))
        .collect();
    sqlx::query(
        "INSERT INTO tracking_events (order_id, status, occurred_at)
         SELECT value ->> 0, value ->> 1, $2 FROM json_each($1)",
    )
    .bind(rows(&set)?)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Reads a shipment and its tracking events for a client.
pub(crate) async fn show(
    reader: &Pool,
    order_id: &str,
) -> Result<Option<(Shipment, Vec<(String, i64)>)>> {
    let found: Option<Row> = sqlx::query_as(
        "SELECT order_id, status, emitted, due_at FROM shipments WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(reader)
    .await
    .map_err(sql)?;
    let Some(row) = found else {
        return Ok(None);
    };
    let tracking = sqlx::query_as(
        "SELECT status, occurred_at FROM tracking_events WHERE order_id = $1 ORDER BY occurred_at",
    )
    .bind(order_id)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    Ok(Some((read(row)?, tracking)))
}
