//! Visitors as couriers: reports scans of a parcel through the carrier's signed webhook.

use std::time::SystemTime;

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::Response,
    routing::get,
};
use commerce_chassis::{Access, WebhookSecret, rfc3339};
use mainstay_clock::{Clock as _, IdGenerator as _, SystemClock, SystemIds};
use mainstay_messaging::envelope::micros_since_epoch;
use serde::Deserialize;
use serde_json::json;
use tower::ServiceExt as _;

use crate::config::Config;

#[derive(Clone)]
struct Courier {
    services: Router,
    secret: WebhookSecret,
}

/// What the visitor says of a parcel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    tracking_no: String,
    status: String,
}

/// No route where a carrier of one's own signs, or where shipping would not know the signature.
pub(super) fn router(config: &Config, services: &Router) -> Router {
    let is_known = config.services.contains(&"shipping")
        || (config.services.is_empty() && config.access == Access::Open);
    if !config.carrier_is_simulated || !is_known {
        return Router::new();
    }
    let courier = Courier {
        services: services.clone(),
        secret: config.webhooks.carrier.clone(),
    };
    Router::new()
        .route(
            "/console/scans",
            get(async || StatusCode::NO_CONTENT).post(report),
        )
        .with_state(courier)
}

/// Signs the scan as the carrier does, and hands it to shipping.
async fn report(
    State(courier): State<Courier>,
    Json(Told {
        tracking_no,
        status,
    }): Json<Told>,
) -> Response {
    let at: SystemTime = SystemClock::new().now();
    let scan = json!({
        "tracking_no": tracking_no,
        "status": status,
        "location": "a courier by hand",
        "occurred_at": rfc3339(micros_since_epoch(at)),
    });
    let (id, body) = (SystemIds::new().uuid().to_string(), scan.to_string());
    let mut request = Request::new(Body::from(body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/api/v1/webhooks/carrier");
    *request.headers_mut() = courier.secret.sign(&id, at, body.as_bytes());
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    match courier.services.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}
