//! The routes that belong to no service: the index, health, and the problems of unknown routes.

use axum::{
    Json, Router,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use commerce_chassis::Problem;
use commerce_pages::{Api, Pages};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::readiness::Readiness;

pub(crate) fn router() -> Router {
    Router::new().route("/healthz", get(alive))
}

/// The pages for people; programs get the index at `/`.
pub(crate) fn people(
    services: &Router,
    readiness: &Readiness,
    closing: &CancellationToken,
) -> Router {
    // A page without the details is of no use; who may not see them is told so.
    let api = Api::embedded(services.clone().merge(readiness.details()));
    Pages::new(api, get(index), closing.clone()).router()
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
        "document": "/openapi.json",
        "pages": ["/", "/tour", "/ops", "/docs"],
        "probes": ["/healthz", "/readyz"],
        "metrics": "/metrics",
    }))
    .into_response()
}

/// The process ends if one of its tasks ends, so a process that answers is alive.
async fn alive() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn unknown_route(uri: Uri) -> Problem {
    if let Some(problem) = commerce_gateway::unknown_version(uri.path()) {
        return problem;
    }
    let path: String = uri.path().chars().take(100).collect();
    Problem::not_found(format!("no route {path:?}; GET /openapi.json lists them"))
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "This route does not take this method",
        "GET /openapi.json lists the routes with their methods",
    )
}
