//! The API of a shop, from memory, and requests to the pages over it.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Request, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use commerce_pages::{Api, Pages};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// A shop with one order. It keeps what is sent to it.
#[derive(Clone)]
pub(crate) struct Shop {
    /// Whether the whole shop is one process, with a simulated carrier.
    pub(crate) is_whole: bool,
    pub(crate) services: &'static [&'static str],
    pub(crate) status: Arc<Mutex<&'static str>>,
    pub(crate) sent: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    pub(crate) closing: CancellationToken,
}

const AT: &str = "2026-01-01T00:00:00Z";

impl Shop {
    pub(crate) fn new() -> Self {
        Self {
            is_whole: false,
            services: &[],
            status: Arc::new(Mutex::new("placed")),
            sent: Arc::default(),
            closing: CancellationToken::new(),
        }
    }

    pub(crate) fn pages(&self) -> Router {
        let kept = |State(shop): State<Self>, headers: HeaderMap, Json(body): Json<Value>| async move {
            shop.sent.lock().unwrap().push((headers, body));
            (
                StatusCode::ACCEPTED,
                Json(json!({"order_id": "o-1", "status": "placed"})),
            )
        };
        let mut api = Router::new();
        if self.is_whole {
            let there = async || StatusCode::NO_CONTENT;
            let act = json!({"at": AT, "operator": "ada", "act": "cancel", "object": "saga r-1", "reason": "stuck", "page": "/ops/sagas/r-1"});
            let played = json!({"running": true, "scenario": "poison", "lines": ["1. It begins", "     ok   it holds"], "held": null, "failure": null});
            let scenarios = json!({"scenarios": [{"name": "poison", "what": "no handler reads it"}], "played": played});
            let row = json!({"id": "I1", "name": "orders end", "checked": 1, "unit": "orders", "holds": false, "offenders": ["order o is stuck"]});
            let verdict = json!({"holds": false, "orders_in_flight": 2, "dead_letters": {"dead": 0, "held": 0}, "invariants": [row]});
            let check = json!({"running": false, "progress": null, "ended_at": AT, "verdict": verdict, "failure": null});
            api = api
                .route("/console/scans", get(there).post(kept))
                .route("/console/acts", get(async move || Json(json!([act]))))
                .route("/console/check", get(async move || Json(check)).post(kept))
                .route("/console/scenarios", get(async move || Json(scenarios)))
                .route("/console/scenarios/{name}", post(kept));
        }
        let api = api
            .route("/api/v1/orders", post(kept))
            .route(
                "/api/v1/shipments/{id}",
                get(async || {
                    Json(json!({"tracking_no": "MS1", "status": "dispatched", "tracking": []}))
                }),
            )
            .route("/api/v1/orders/{id}", get(order))
            .route("/api/v1/orders/{id}/returns", post(kept))
            .route("/api/v1/sagas/{run}/cancel", post(kept))
            .route("/readyz", get(ready))
            .route("/api/v1/auth/login", post(logged_in))
            .route(
                "/api/v1/dlq/{service}/groups",
                get(|| async { Json(json!([])) }),
            )
            .with_state(self.clone());
        let index = get(|| async { "the index of programs" });
        Pages::new(Api::embedded(api), index, self.closing.clone()).router()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = page(path).body(Body::empty()).unwrap();
        let response = self.pages().oneshot(request).await.unwrap();
        read(response).await
    }

    pub(crate) async fn post(&self, path: &str, form: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = page(path)
            .method("POST")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(form.to_owned())).unwrap();
        self.pages().oneshot(request).await.unwrap()
    }
}

async fn order(State(shop): State<Shop>, Path(id): Path<String>) -> Response {
    if id == "o-closed" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if id != "o-1" {
        return StatusCode::NOT_FOUND.into_response();
    }
    let status = *shop.status.lock().unwrap();
    let returned = json!({
        "return_id": "r-1", "status": "refunded", "reason": "too <small>", "amount_minor": 400, "refunded_minor": 400,
        "lines": [{"sku": "SKU-001", "qty": 1}],
    });
    let is_over = status == "completed";
    Json(json!({
        "returns": is_over.then_some(returned).as_slice(),
        "order_id": id, "status": status, "customer_id": "<script>alert(1)</script>", "currency": "EUR",
        "total_minor": 1299, "lines": [{"line_no": 1, "sku": "SKU-001", "qty": 2, "unit_price_minor": 400, "tax_minor": 0}],
        "history": [{"status": status, "at": AT}],
    }))
    .into_response()
}

async fn ready(State(shop): State<Shop>) -> Json<Value> {
    let idle = json!({"activity": "idle", "blocked_keys": 0, "oldest_unpublished_seconds": 0.0, "last_error": null});
    let queue = json!({"running": true, "last_error": null, "dead": 0, "held": 0});
    let service = |name| json!({"service": name, "healthy": true, "outbox": idle, "inbox": null, "dead_letters": queue, "leaders": []});
    let services: Vec<_> = shop.services.iter().map(service).collect();
    Json(json!({"status": "ok", "services": services}))
}

async fn logged_in() -> Json<Value> {
    Json(json!({"access_token": "t-1", "user_id": "cust-002", "expires_in": 900}))
}

pub(crate) fn page(path: &str) -> axum::http::request::Builder {
    Request::builder()
        .uri(path)
        .header(header::HOST, "shop.example")
        .header(header::ACCEPT, "text/html")
}

pub(crate) async fn read(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
