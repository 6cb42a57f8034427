//! The tables of the shipping service.

use std::{slice, time::Duration};

use commerce_chassis::{Connection, Error, Pool, Result, sql};
use commerce_contracts::{OrderId, PrepareShipment, ShipmentStatus};
use mainstay_saga::Task;
use serde::Serialize;
use sqlx::QueryBuilder;

use crate::shipment::stay;

type Sql = <Connection as sqlx::Connection>::Database;

/// A shipment that is due.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) order_id: OrderId,
    pub(crate) status: ShipmentStatus,
    task: String,
}

impl Due {
    /// The command that is answered when the shipment is packed.
    pub(crate) fn task(&self) -> Result<Task<PrepareShipment>> {
        serde_json::from_str(&self.task).map_err(|error| Error::damaged("a stored task", error))
    }
}

/// Inserts the shipment of an order; a second one is an error.
pub(crate) async fn insert(
    connection: &mut Connection,
    command: &PrepareShipment,
    task: &Task<PrepareShipment>,
    now: i64,
) -> Result<()> {
    let status = ShipmentStatus::Created;
    sqlx::query(
        "INSERT INTO shipments (order_id, status, ship_to, contents, task, due_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(command.order_id.as_str())
    .bind(status.name())
    .bind(json(&command.ship_to)?)
    .bind(json(&command.lines)?)
    .bind(json(task)?)
    .bind(due_at(status, now))
    .execute(&mut *connection)
    .await
    .map_err(sql)?;
    track(connection, slice::from_ref(&command.order_id), status, now).await
}

/// Locks the shipment of an order, and reads its status.
pub(crate) async fn lock(
    connection: &mut Connection,
    order_id: &OrderId,
) -> Result<Option<ShipmentStatus>> {
    let status: Option<String> = sqlx::query_scalar(commerce_chassis::locking!(
        "SELECT status FROM shipments WHERE order_id = $1",
        "shipments"
    ))
    .bind(order_id.as_str())
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    status.as_deref().map(read).transpose()
}

/// Moves shipments of orders, which this transaction has locked.
pub(crate) async fn enter(
    connection: &mut Connection,
    orders: &[OrderId],
    status: ShipmentStatus,
    now: i64,
) -> Result<()> {
    let mut update = QueryBuilder::<Sql>::new("UPDATE shipments SET status = ");
    update.push_bind(status.name());
    update.push(", due_at = ").push_bind(due_at(status, now));
    update.push(" WHERE order_id IN (");
    let mut ids = update.separated(", ");
    for order in orders {
        ids.push_bind(order.as_str());
    }
    ids.push_unseparated(")");
    let update = update.build().persistent(orders.len() == 1);
    update.execute(&mut *connection).await.map_err(sql)?;
    track(connection, orders, status, now).await
}

async fn track(
    connection: &mut Connection,
    orders: &[OrderId],
    status: ShipmentStatus,
    now: i64,
) -> Result<()> {
    let mut insert =
        QueryBuilder::<Sql>::new("INSERT INTO tracking_events (order_id, status, occurred_at) ");
    insert.push_values(orders, |mut row, order| {
        row.push_bind(order.as_str());
        row.push_bind(status.name()).push_bind(now);
    });
    let insert = insert.build().persistent(orders.len() == 1);
    insert.execute(connection).await.map_err(sql)?;
    Ok(())
}

/// Locks and reads due shipments, without those that another transaction has locked.
pub(crate) async fn due(connection: &mut Connection, now: i64, limit: i64) -> Result<Vec<Due>> {
    let found: Vec<(String, String, String)> = sqlx::query_as(commerce_chassis::locking_free!(
        "SELECT order_id, status, task FROM shipments WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
        "shipments"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    let due = found.into_iter().map(|(order_id, status, task)| {
        Ok(Due {
            order_id: OrderId::new(order_id),
            status: read(&status)?,
            task,
        })
    });
    due.collect()
}

/// When the next shipment falls due.
pub(crate) async fn next_due(reader: &Pool) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(due_at) FROM shipments WHERE due_at IS NOT NULL")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// The status of an order's shipment, and what the carrier saw of it: status and time.
pub(crate) async fn show(
    reader: &Pool,
    order_id: &OrderId,
) -> Result<Option<(ShipmentStatus, Vec<(String, i64)>)>> {
    let status: Option<String> =
        sqlx::query_scalar("SELECT status FROM shipments WHERE order_id = $1")
            .bind(order_id.as_str())
            .fetch_optional(reader)
            .await
            .map_err(sql)?;
    let Some(status) = status else {
        return Ok(None);
    };
    let tracking = sqlx::query_as(
        "SELECT status, occurred_at FROM tracking_events WHERE order_id = $1 ORDER BY occurred_at",
    )
    .bind(order_id.as_str())
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    Ok(Some((read(&status)?, tracking)))
}

/// When a shipment that enters `status` at `now` falls due.
fn due_at(status: ShipmentStatus, now: i64) -> Option<i64> {
    let micros = |stay: Duration| i64::try_from(stay.as_micros()).unwrap_or(i64::MAX);
    stay(status).map(|stay| now.saturating_add(micros(stay)))
}

fn read(status: &str) -> Result<ShipmentStatus> {
    ShipmentStatus::from_name(status)
        .ok_or_else(|| Error::damaged("a stored shipment", format!("status {status:?}")))
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::damaged("a received shipment", error))
}
