//! The routes that belong to no service: the index, health, and the problems of unknown routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use commerce_chassis::{HealthCheck, Problem};
use commerce_pages::{Api, Pages};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::insight::Insight;

pub(crate) fn router() -> Router {
    Router::new().route("/healthz", get(alive))
}

/// The pages for people; programs get the index at `/`.
pub(crate) fn people(
    services: &Router,
    health: &[HealthCheck],
    insight: &Insight,
    closing: &CancellationToken,
) -> Router {
    // A page without the details is of no use; who may not see them is told so.
    let details = insight.guard(readiness(health, insight));
    let api = Api::embedded(services.clone().merge(details));
    Pages::new(api, get(index), closing.clone()).router()
}

/// Readiness, with the health of each service for those who may see it.
pub(crate) fn readiness(health: &[HealthCheck], insight: &Insight) -> Router {
    Router::new()
        .route("/readyz", get(ready))
        .with_state((health.into(), insight.clone()))
}

/// The whole application, once every service is merged in.
pub(crate) fn with_fallbacks(router: Router) -> Router {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
}

async fn index() -> Response {
    Json(json!({
        "application": "commerce",
        "routes": [
            "POST /api/v1/orders",
            "GET /api/v1/orders/{order_id}",
            "GET /api/v1/orders/{order_id}/events",
            "GET /api/v1/orders/{order_id}/timeline",
            "POST /api/v1/orders/{order_id}/cancel",
            "GET /api/v1/stock/{sku}",
            "GET /api/v1/payments/{order_id}",
            "GET /api/v1/payments/{order_id}/ledger",
            "GET /api/v1/shipments/{order_id}",
            "GET /api/v1/dlq/{service}/groups",
            "GET /api/v1/dlq/{service}/messages",
            "GET /healthz",
            "GET /readyz",
        ],
    }))
    .into_response()
}

/// The process ends if one of its tasks ends, so a process that answers is alive.
async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

/// A process that answers is ready: it listens only when every service is open, and takes orders
/// even if the broker is away or a key is blocked. The body says whether an operator should look.
async fn ready(
    State((health, insight)): State<(Arc<[HealthCheck]>, Insight)>,
    headers: HeaderMap,
) -> Response {
    let services: Vec<_> = health.iter().map(HealthCheck::check).collect();
    let healthy = services.iter().all(|service| service.healthy);
    let status = if healthy { "ok" } else { "attention" };
    // Errors name servers, keys and messages.
    let told = match insight.check(&headers) {
        Ok(()) => json!({"status": status, "services": services}),
        Err(_) => json!({"status": status}),
    };
    Json(told).into_response()
}

async fn unknown_route(uri: Uri) -> Problem {
    if let Some(problem) = commerce_gateway::unknown_version(uri.path()) {
        return problem;
    }
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
