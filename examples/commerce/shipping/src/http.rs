//! `GET /api/v1/shipments/{order_id}`.

use axum::{Json, extract::State};
use commerce_chassis::{
    Caller, Db, OpenApiRouter, PathParam, Problem, Refused, rfc3339, routes, utoipa,
};
use commerce_contracts::OrderId;
use serde::Serialize;

use crate::{
    shipment::{shipment_id, tracking_no},
    store,
};

pub(crate) fn router(db: Db) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(show)).with_state(db)
}

/// A shipment.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Shipment)]
struct Shown {
    shipment_id: String,
    #[schema(value_type = String)]
    order_id: OrderId,
    tracking_no: String,
    status: &'static str,
    tracking: Vec<Scan>,
}

/// What the carrier saw of a shipment.
#[derive(Serialize, utoipa::ToSchema)]
struct Scan {
    status: String,
    #[schema(format = DateTime)]
    at: String,
}

/// The shipment of an order.
#[utoipa::path(get, path = "/api/v1/shipments/{order_id}", operation_id = "show_shipment", tag = "shipping",
    params(("order_id" = String, Path)), responses((status = OK, body = Shown), Refused))]
async fn show(
    State(db): State<Db>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Shown>, Problem> {
    // The service does not know whose order it is.
    caller.require_operator()?;
    let order_id = OrderId::new(order_id);
    let Some((status, tracking)) = store::show(db.reader(), &order_id).await? else {
        return Err(Problem::not_found("there is no shipment for such an order"));
    };
    let scan = |(status, at)| Scan {
        status,
        at: rfc3339(at),
    };
    let shown = Shown {
        shipment_id: shipment_id(&order_id),
        tracking_no: tracking_no(&order_id),
        status: status.name(),
        tracking: tracking.into_iter().map(scan).collect(),
        order_id,
    };
    Ok(Json(shown))
}
