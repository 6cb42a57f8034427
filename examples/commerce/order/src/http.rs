//! `POST /api/v1/orders` and `GET /api/v1/orders/{id}`.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use commerce_chassis::{Db, PathParam, Problem, Records, rfc3339};
use commerce_contracts::{Currency, OrderId, OrderLine};
use mainstay_idempotency::{Keyed, http};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    placement::{self, Placing},
    request::Placement,
    store,
};

#[derive(Clone)]
struct Orders {
    db: Db,
    records: Records,
    placing: Placing,
}

pub(crate) fn router(db: Db, records: Records, placing: Placing) -> Router {
    Router::new()
        .route("/api/v1/orders", post(place))
        .route("/api/v1/orders/{id}", get(show))
        .with_state(Orders {
            db,
            records,
            placing,
        })
}

/// One order per key of a customer, and one answer. It goes on even if the client hangs up.
async fn place(
    State(orders): State<Orders>,
    order: Keyed<Box<RawValue>>,
) -> Result<Response, http::Problem> {
    let mut order = order.try_map(|body| Placement::read(&body))?;
    order.request = order.body.keyed(&order.request.key)?;
    order
        .run_with(&orders.records, orders.placing, placement::place)
        .await
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
