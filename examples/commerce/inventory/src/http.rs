//! `/api/v1/stock/{sku}` and `/api/v1/reservations/{order_id}`.

use axum::{Json, extract::State, response::Response};
use commerce_chassis::{
    Caller, Connection, Db, OpenApiRouter, PathParam, Problem, Records, Refused, rfc3339, routes,
    sql, utoipa,
};
use commerce_contracts::{Availability, OrderId, Sku};
use mainstay_idempotency::{Keyed, http};
use serde::Serialize;

use crate::{
    adjustment::{self, Adjustment, Body},
    handlers::Inventory,
    store,
};

#[derive(Clone)]
struct Warehouse {
    db: Db,
    records: Records,
    inventory: Inventory,
}

pub(crate) fn router(db: Db, records: Records, inventory: Inventory) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(adjust))
        .routes(routes!(reservation))
        .with_state(Warehouse {
            db,
            records,
            inventory,
        })
}

/// The stock of a SKU.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Stock)]
pub(crate) struct Shown {
    sku: String,
    on_hand: i64,
    reserved: i64,
    /// What can be ordered.
    available: i64,
    #[schema(example = "in_stock")]
    availability: &'static str,
    /// Grows with each change.
    version: i64,
    #[schema(example = "active")]
    status: &'static str,
}

impl Shown {
    pub(crate) fn of(sku: String, item: &store::Item) -> Self {
        let available = item.on_hand - item.reserved;
        Self {
            sku,
            on_hand: item.on_hand,
            reserved: item.reserved,
            available,
            availability: Availability::of(available).name(),
            version: item.version,
            status: item.status.name(),
        }
    }
}

/// The stock of a SKU.
#[utoipa::path(get, path = "/api/v1/stock/{sku}", operation_id = "show_stock", tag = "inventory",
    params(("sku" = String, Path)), responses((status = OK, body = Shown), Refused))]
async fn show(
    State(warehouse): State<Warehouse>,
    PathParam(sku): PathParam,
) -> Result<Json<Shown>, Problem> {
    let mut reader = warehouse.db.reader().acquire().await.map_err(sql)?;
    let item = store::item(&mut reader, &sku).await?;
    let item = item.ok_or_else(|| Problem::not_found("there is no such product"))?;
    Ok(Json(Shown::of(sku, &item)))
}

/// Adds pieces to the stock, or takes away what is not reserved. One key is one movement.
#[utoipa::path(post, path = "/api/v1/stock/{sku}/adjust", operation_id = "adjust_stock", tag = "inventory",
    params(("sku" = String, Path), ("Idempotency-Key" = String, Header, description = "A new one for each movement")),
    request_body = Body, responses((status = OK, body = Shown), Refused))]
async fn adjust(
    State(warehouse): State<Warehouse>,
    caller: Caller,
    PathParam(sku): PathParam,
    movement: Keyed<Body>,
) -> Result<Response, http::Problem> {
    caller.require_operator()?;
    let key = movement.request.key.text().to_owned();
    let sku = Sku::new(sku);
    let movement = movement.try_map(|body| Adjustment::read(sku, key, &body))?;
    movement
        .run_with(&warehouse.records, warehouse.inventory, adjustment::adjust)
        .await
}

/// The stock that is reserved for an order, or was. Times are when a hold expires.
#[derive(Serialize, utoipa::ToSchema)]
struct Reservation {
    order_id: String,
    /// held, firm, committed, released, expired or refused.
    #[schema(example = "firm")]
    state: &'static str,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    lines: Vec<Line>,
}

/// A reserved quantity.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ReservationLine)]
struct Line {
    sku: String,
    quantity: i64,
}

/// The reservation of an order.
#[utoipa::path(get, path = "/api/v1/reservations/{order_id}", operation_id = "show_reservation", tag = "inventory",
    params(("order_id" = String, Path)), responses((status = OK, body = Reservation), Refused))]
async fn reservation(
    State(warehouse): State<Warehouse>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Reservation>, Problem> {
    // The service does not know whose order it is.
    caller.require_operator()?;
    let order_id = OrderId::new(order_id);
    let mut reader = warehouse.db.reader().acquire().await.map_err(sql)?;
    let connection: &mut Connection = &mut reader;
    let Some((state, lines)) = store::find(connection, &order_id).await? else {
        return Err(Problem::not_found(
            "nothing was ever reserved for such an order",
        ));
    };
    let expires_at = store::expires_at(connection, &order_id).await?;
    let line = |(sku, quantity): (Sku, i64)| Line {
        sku: sku.to_string(),
        quantity,
    };
    Ok(Json(Reservation {
        order_id: order_id.to_string(),
        state: state.name(),
        expires_at: expires_at.map(rfc3339),
        lines: lines.into_iter().map(line).collect(),
    }))
}
