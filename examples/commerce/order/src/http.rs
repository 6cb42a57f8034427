//! `POST /api/v1/orders` and `GET /api/v1/orders/{id}`.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use commerce_chassis::{Db, GroupCommit, PathParam, Problem, rfc3339};
use commerce_contracts::{Currency, OrderId, OrderLine};
use serde::Serialize;

use crate::{placement::Placing, request::Placement, store};

#[derive(Clone)]
struct Orders {
    db: Db,
    placing: GroupCommit<Placing>,
}

pub(crate) fn router(db: Db, placing: GroupCommit<Placing>) -> Router {
    Router::new()
        .route("/api/v1/orders", post(place))
        .route("/api/v1/orders/{id}", get(show))
        .with_state(Orders { db, placing })
}

async fn place(
    State(orders): State<Orders>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let keys = headers.get_all("idempotency-key").into_iter();
    let placement = Placement::read(keys.map(HeaderValue::as_bytes), &body)?;
    let placed = orders.placing.submit(placement).await??;
    let mut response = (
        StatusCode::ACCEPTED,
        [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (
                header::LOCATION,
                format!("/api/v1/orders/{}", placed.order_id),
            ),
        ],
        placed.answer,
    )
        .into_response();
    if placed.replayed {
        let replayed = HeaderValue::from_static("true");
        response
            .headers_mut()
            .insert("idempotent-replayed", replayed);
    }
    Ok(response)
}

#[derive(Serialize)]
struct Shown {
    order_id: OrderId,
    status: &'static str,
    customer_id: String,
    currency: Currency,
    total_minor: i64,
    lines: Vec<OrderLine>,
    history: Vec<Entered>,
}

#[derive(Serialize)]
struct Entered {
    status: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn show(
    State(orders): State<Orders>,
    PathParam(order_id): PathParam,
) -> Result<Response, Problem> {
    let Some((order, history)) = store::show(orders.db.reader(), &order_id).await? else {
        return Err(Problem::not_found("there is no such order"));
    };
    let shown = Shown {
        order_id: order.id,
        status: order.progress.status.name(),
        customer_id: order.customer_id,
        currency: order.currency,
        total_minor: order.total.minor(),
        lines: order.details.lines,
        history: history
            .into_iter()
            .map(|(status, at, reason)| Entered {
                status,
                at: rfc3339(at),
                reason,
            })
            .collect(),
    };
    Ok(Json(shown).into_response())
}
