//! The tables of the shipping service.

use std::{iter::repeat, time::Duration};

use commerce_chassis::{Connection, Error, Pool, Result, sql};
use commerce_contracts::{Address, OrderId, OrderLine, PrepareShipment, ShipmentStatus};
use mainstay_saga::Task;
use serde::Serialize;

use crate::{
    scan::Scan,
    shipment::{stay, tracking_no},
};

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

/// What a shipment is created with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) order_id: &'a OrderId,
    pub(crate) lines: &'a [OrderLine],
    pub(crate) ship_to: &'a Address,
}

/// Begins to pack the shipment of an order, creating it if it is not there.
pub(crate) async fn prepare(
    connection: &mut Connection,
    contents: Contents<'_>,
    task: &Task<PrepareShipment>,
    now: i64,
) -> Result<()> {
    create(connection, contents, now).await?;
    let status = ShipmentStatus::Created;
    let prepared = sqlx::query(
        "UPDATE shipments SET task = $2, due_at = $3 WHERE order_id = $1 AND status = $4",
    )
    .bind(contents.order_id.as_str())
    .bind(json(task)?)
    .bind(due_at(status, now))
    .bind(status.name())
    .execute(connection)
    .await
    .map_err(sql)?;
    if prepared.rows_affected() == 0 {
        // Another transaction created and cancelled it meanwhile.
        let what = "a shipment";
        return Err(Error::Changed { what });
    }
    Ok(())
}

/// Creates the shipment of an order, unless it is there.
async fn create(connection: &mut Connection, contents: Contents<'_>, now: i64) -> Result<()> {
    let status = ShipmentStatus::Created;
    let created = sqlx::query(
        "INSERT INTO shipments (order_id, tracking_no, status, ship_to, contents, task)
         VALUES ($1, $2, $3, $4, $5, 'null') ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(contents.order_id.as_str())
    .bind(tracking_no(contents.order_id))
    .bind(status.name())
    .bind(json(contents.ship_to)?)
    .bind(json(&contents.lines)?)
    .execute(&mut *connection)
    .await
    .map_err(sql)?;
    if created.rows_affected() == 0 {
        return Ok(());
    }
    track(connection, contents.order_id, status, None, now).await
}

/// Writes whose shipment it is, creating it if it is not there.
pub(crate) async fn own(
    connection: &mut Connection,
    contents: Contents<'_>,
    customer_id: &str,
    now: i64,
) -> Result<()> {
    create(connection, contents, now).await?;
    sqlx::query("UPDATE shipments SET customer_id = $2 WHERE order_id = $1")
        .bind(contents.order_id.as_str())
        .bind(customer_id)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
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

/// Locks the shipment with a tracking number, and reads its order and status.
pub(crate) async fn lock_tracked(
    connection: &mut Connection,
    tracking_no: &str,
) -> Result<Option<(OrderId, ShipmentStatus)>> {
    let found: Option<(String, String)> = sqlx::query_as(commerce_chassis::locking!(
        "SELECT order_id, status FROM shipments WHERE tracking_no = $1",
        "shipments"
    ))
    .bind(tracking_no)
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    let found = found.map(|(order_id, status)| Ok((OrderId::new(order_id), read(&status)?)));
    found.transpose()
}

/// Moves the shipment of an order, which this transaction has locked.
pub(crate) async fn enter(
    connection: &mut Connection,
    order_id: &OrderId,
    status: ShipmentStatus,
    now: i64,
) -> Result<()> {
    move_to(connection, order_id, status, now).await?;
    track(connection, order_id, status, None, now).await
}

/// Shipments that one statement moves.
const TOGETHER: usize = 16;

/// `($3, $4, …)`: the orders of the shipments that a statement moves.
macro_rules! together {
    ($head:literal) => {
        concat!(
            $head,
            " WHERE order_id IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
        )
    };
}

/// As [`enter`], for shipments that all enter one status.
pub(crate) async fn enter_all(
    connection: &mut Connection,
    order_ids: &[OrderId],
    status: ShipmentStatus,
    now: i64,
) -> Result<()> {
    for order_ids in order_ids.chunks(TOGETHER) {
        let [first, others @ ..] = order_ids else {
            continue;
        };
        if others.is_empty() {
            enter(connection, first, status, now).await?;
            continue;
        }
        // The first one fills what is left: the statements have always as many parameters.
        let listed = || order_ids.iter().chain(repeat(first)).take(TOGETHER);
        let mut moving = sqlx::query(together!("UPDATE shipments SET status = $1, due_at = $2"))
            .bind(status.name())
            .bind(due_at(status, now));
        let mut tracking = sqlx::query(together!(
            "INSERT INTO tracking_events (order_id, status, location, occurred_at)
             SELECT order_id, $1, NULL, $2 FROM shipments"
        ))
        .bind(status.name())
        .bind(now);
        for order_id in listed() {
            moving = moving.bind(order_id.as_str());
            tracking = tracking.bind(order_id.as_str());
        }
        moving.execute(&mut *connection).await.map_err(sql)?;
        tracking.execute(&mut *connection).await.map_err(sql)?;
    }
    Ok(())
}

/// Where the shipment of an order goes.
pub(crate) async fn ship_to(connection: &mut Connection, order_id: &OrderId) -> Result<Address> {
    let ship_to: String = sqlx::query_scalar("SELECT ship_to FROM shipments WHERE order_id = $1")
        .bind(order_id.as_str())
        .fetch_one(connection)
        .await
        .map_err(sql)?;
    serde_json::from_str(&ship_to).map_err(|error| Error::damaged("a stored address", error))
}

/// Lets the shipment of an order, which this transaction has locked, fall due so much later.
pub(crate) async fn wait(
    connection: &mut Connection,
    order_id: &OrderId,
    patience: Duration,
    now: i64,
) -> Result<()> {
    sqlx::query("UPDATE shipments SET due_at = $2 WHERE order_id = $1")
        .bind(order_id.as_str())
        .bind(later(now, patience))
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// Moves the shipment of an order, which this transaction has locked, to where the carrier saw it.
pub(crate) async fn enter_scanned(
    connection: &mut Connection,
    order_id: &OrderId,
    scan: &Scan,
    now: i64,
) -> Result<()> {
    move_to(connection, order_id, scan.status, now).await?;
    let (location, at) = (scan.location.as_deref(), scan.occurred_at);
    track(connection, order_id, scan.status, location, at).await
}

async fn move_to(
    connection: &mut Connection,
    order_id: &OrderId,
    status: ShipmentStatus,
    now: i64,
) -> Result<()> {
    sqlx::query("UPDATE shipments SET status = $2, due_at = $3 WHERE order_id = $1")
        .bind(order_id.as_str())
        .bind(status.name())
        .bind(due_at(status, now))
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

async fn track(
    connection: &mut Connection,
    order_id: &OrderId,
    status: ShipmentStatus,
    location: Option<&str>,
    at: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO tracking_events (order_id, status, location, occurred_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(order_id.as_str())
    .bind(status.name())
    .bind(location)
    .bind(at)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Keeps a scan. False: its id was taken before.
pub(crate) async fn keep(
    connection: &mut Connection,
    order_id: &OrderId,
    scan: &Scan,
    now: i64,
) -> Result<bool> {
    let kept = sqlx::query(
        "INSERT INTO scans (scan_id, order_id, status, occurred_at, received_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (scan_id) DO NOTHING",
    )
    .bind(&scan.id)
    .bind(order_id.as_str())
    .bind(scan.status.name())
    .bind(scan.occurred_at)
    .bind(now)
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(kept.rows_affected() == 1)
}

/// Locks and reads due shipments, without those that another transaction has locked.
pub(crate) async fn due(connection: &mut Connection, now: i64, limit: i64) -> Result<Vec<Due>> {
    let found: Vec<(String, String, String)> = sqlx::query_as(commerce_chassis::locking_free!(
        "SELECT order_id, status, task FROM shipments WHERE due_at <= $1 ORDER BY due_at LIMIT $2 + 0",
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

/// A shipment as clients see it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) order_id: OrderId,
    /// None: nobody has named the customer yet.
    pub(crate) customer_id: Option<String>,
    pub(crate) status: ShipmentStatus,
    pub(crate) tracking: Vec<Tracked>,
}

/// When and where the carrier saw it in a status.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) status: String,
    pub(crate) location: Option<String>,
    pub(crate) occurred_at: i64,
}

/// The shipment of an order, or with a tracking number.
pub(crate) async fn show(reader: &Pool, name: &str) -> Result<Option<Shown>> {
    let found: Option<(String, Option<String>, String)> = sqlx::query_as(
        "SELECT order_id, customer_id, status FROM shipments WHERE order_id = $1 OR tracking_no = $1",
    )
    .bind(name)
    .fetch_optional(reader)
    .await
    .map_err(sql)?;
    let Some((order_id, customer_id, status)) = found else {
        return Ok(None);
    };
    let tracking: Vec<(String, Option<String>, i64)> = sqlx::query_as(
        "SELECT status, location, occurred_at FROM tracking_events WHERE order_id = $1 ORDER BY occurred_at",
    )
    .bind(&order_id)
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    let tracked = |(status, location, occurred_at)| Tracked {
        status,
        location,
        occurred_at,
    };
    Ok(Some(Shown {
        order_id: OrderId::new(order_id),
        customer_id,
        status: read(&status)?,
        tracking: tracking.into_iter().map(tracked).collect(),
    }))
}

/// When a shipment that enters `status` at `now` falls due.
fn due_at(status: ShipmentStatus, now: i64) -> Option<i64> {
    stay(status).map(|stay| later(now, stay))
}

fn later(now: i64, by: Duration) -> i64 {
    now.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

fn read(status: &str) -> Result<ShipmentStatus> {
    ShipmentStatus::from_name(status)
        .ok_or_else(|| Error::damaged("a stored shipment", format!("status {status:?}")))
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::damaged("a received shipment", error))
}
