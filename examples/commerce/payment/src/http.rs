//! `GET /api/v1/payments/{order_id}` and its ledger.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use commerce_chassis::{Db, PathParam, Problem};
use serde::Serialize;

use crate::{payment::payment_id, store};

pub(crate) fn router(db: Db) -> Router {
    Router::new()
        .route("/api/v1/payments/{order_id}", get(show))
        .route("/api/v1/payments/{order_id}/ledger", get(ledger))
        .with_state(db)
}

#[derive(Serialize)]
struct Shown {
    payment_id: String,
    order_id: String,
    status: &'static str,
    amount_minor: i64,
    currency: &'static str,
    payment_method: String,
    provider_ref: Option<String>,
}

#[derive(Serialize)]
struct Ledger {
    order_id: String,
    entries: Vec<store::Entry>,
}

async fn show(State(db): State<Db>, PathParam(order_id): PathParam) -> Result<Response, Problem> {
    let Some(payment) = store::show(db.reader(), &order_id).await? else {
        return Err(Problem::not_found("there is no payment for such an order"));
    };
    let shown = Shown {
        payment_id: payment_id(&payment.order_id),
        status: payment.status.name(),
        amount_minor: payment.amount.minor(),
        currency: payment.currency.code(),
        payment_method: payment.method,
        provider_ref: payment.provider_ref,
        order_id,
    };
    Ok(Json(shown).into_response())
}

async fn ledger(State(db): State<Db>, PathParam(order_id): PathParam) -> Result<Response, Problem> {
    if store::show(db.reader(), &order_id).await?.is_none() {
        return Err(Problem::not_found("there is no payment for such an order"));
    }
    let entries = store::entries(db.reader(), &order_id).await?;
    Ok(Json(Ledger { order_id, entries }).into_response())
}
