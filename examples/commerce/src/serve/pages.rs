//! What no service answers: the index, health, and what is wrong with a request that nobody takes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use commerce_chassis::{Problem, Vitals};
use serde_json::json;

/// The largest body that is read.
const BODY_LIMIT: usize = 64 * 1024;

pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(well))
}

/// Readiness, and how the work behind each service is.
pub(crate) fn readiness(vitals: Vec<Vitals>) -> Router {
    Router::new()
        .route("/readyz", get(ready))
        .with_state(vitals.into())
}

/// The whole application, once every service is merged in.
pub(crate) fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

async fn index() -> Response {
    Json(json!({
        "application": "commerce",
        "routes": [
            "POST /api/v1/orders",
            "GET /api/v1/orders/{order_id}",
            "GET /api/v1/stock/{sku}",
            "GET /api/v1/payments/{order_id}",
            "GET /api/v1/payments/{order_id}/ledger",
            "GET /api/v1/shipments/{order_id}",
            "GET /healthz",
            "GET /readyz",
        ],
    }))
    .into_response()
}

/// A part that ends takes the process with it, so a process that answers is well.
async fn well() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// A process that answers is ready: it listens only when every service is open, and takes orders also while the broker
/// is away or a key is stopped. That somebody should look is in the body.
async fn ready(State(vitals): State<Arc<[Vitals]>>) -> Response {
    let services: Vec<_> = vitals.iter().map(Vitals::health).collect();
    let healthy = services.iter().all(|service| service.healthy);
    Json(json!({
        "status": if healthy { "ok" } else { "attention" },
        "services": services,
    }))
    .into_response()
}

async fn unknown_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    Problem::not_found(format!("no route {path:?}; GET / lists them"))
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "This route does not take this method",
        "GET / lists the routes with their methods",
    )
}
