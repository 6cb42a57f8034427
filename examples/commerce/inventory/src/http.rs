//! `GET /api/v1/stock/{sku}`.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use commerce_chassis::{Db, PathParam, Problem};
use serde::Serialize;

use crate::store;

pub(crate) fn router(db: Db) -> Router {
    Router::new()
        .route("/api/v1/stock/{sku}", get(show))
        .with_state(db)
}

#[derive(Serialize)]
struct Shown {
    sku: String,
    on_hand: i64,
    reserved: i64,
    available: i64,
}

async fn show(State(db): State<Db>, PathParam(sku): PathParam) -> Result<Response, Problem> {
    let Some((on_hand, reserved)) = store::level(db.reader(), &sku).await? else {
        return Err(Problem::not_found("there is no such product"));
    };
    let shown = Shown {
        sku,
        on_hand,
        reserved,
        available: on_hand - reserved,
    };
    Ok(Json(shown).into_response())
}
