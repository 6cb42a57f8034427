//! `GET /api/v1/shipments/{order_id}`.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use commerce_chassis::{Db, PathParam, Problem, rfc3339};
use serde::Serialize;

use crate::store;

pub(crate) fn router(db: Db) -> Router {
    Router::new()
        .route("/api/v1/shipments/{order_id}", get(show))
        .with_state(db)
}

#[derive(Serialize)]
struct Shown {
    shipment_id: String,
    order_id: String,
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
    let Some((shipment, tracking)) = store::show(db.reader(), &order_id).await? else {
        return Err(Problem::not_found("there is no shipment for such an order"));
    };
    let shown = Shown {
        shipment_id: shipment.id(),
        tracking_no: shipment.tracking_no(),
        status: shipment.status.name(),
        tracking: tracking
            .into_iter()
            .map(|(status, at)| Scan {
                status,
                at: rfc3339(at),
            })
            .collect(),
        order_id,
    };
    Ok(Json(shown).into_response())
}
