//! `GET /api/v1/shipments/{order_id}`.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use commerce_chassis::{Db, PathParam, Problem, rfc3339};
use commerce_contracts::OrderId;
use serde::Serialize;

use crate::{
    shipment::{shipment_id, tracking_no},
    store,
};

pub(crate) fn router(db: Db) -> Router {
    Router::new()
        .route("/api/v1/shipments/{order_id}", get(show))
        .with_state(db)
}

#[derive(Serialize)]
struct Shown {
    shipment_id: String,
    order_id: OrderId,
    tracking_no: String,
    status: &'static str,
    tracking: Vec<Scan>,
}

#[derive(Serialize)]
struct Scan {
    status: String,
    at: String,
}

async fn show(State(db): State<Db>, PathParam(order_id): PathParam) -> Result<Response, Problem> {
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
    Ok(Json(shown).into_response())
}
