//! `GET /api/v1/payments/{order_id}` and its ledger.

use axum::{Json, extract::State};
use commerce_chassis::{Caller, Db, OpenApiRouter, PathParam, Problem, Refused, routes, utoipa};
use serde::Serialize;

use crate::{payment::payment_id, store};

pub(crate) fn router(db: Db) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(ledger))
        .with_state(db)
}

/// A payment. Amounts are in minor units of the currency.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Payment)]
struct Shown {
    payment_id: String,
    order_id: String,
    status: &'static str,
    amount_minor: i64,
    currency: &'static str,
    payment_method: String,
    provider_ref: Option<String>,
}

/// What was booked for an order.
#[derive(Serialize, utoipa::ToSchema)]
struct Ledger {
    order_id: String,
    entries: Vec<store::Entry>,
}

/// The payment of an order.
#[utoipa::path(get, path = "/api/v1/payments/{order_id}", operation_id = "show_payment", tag = "payment",
    params(("order_id" = String, Path)), responses((status = OK, body = Shown), Refused))]
async fn show(
    State(db): State<Db>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Shown>, Problem> {
    // The service does not know whose order it is.
    caller.require_operator()?;
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
    Ok(Json(shown))
}

/// What was booked for an order.
#[utoipa::path(get, path = "/api/v1/payments/{order_id}/ledger", operation_id = "show_ledger", tag = "payment",
    params(("order_id" = String, Path)), responses((status = OK, body = Ledger), Refused))]
async fn ledger(
    State(db): State<Db>,
    caller: Caller,
    PathParam(order_id): PathParam,
) -> Result<Json<Ledger>, Problem> {
    caller.require_operator()?;
    if store::show(db.reader(), &order_id).await?.is_none() {
        return Err(Problem::not_found("there is no payment for such an order"));
    }
    let entries = store::entries(db.reader(), &order_id).await?;
    Ok(Json(Ledger { order_id, entries }))
}
