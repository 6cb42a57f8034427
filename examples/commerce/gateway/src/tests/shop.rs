//! A shop of services that say who called them.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, FromRequestParts as _, Request},
    http::{HeaderMap, Method, StatusCode, request::Builder},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
};
use commerce_chassis::{
    Access, Authentication, Caller, KeySet, Operators, SigningKey, utoipa::openapi::OpenApi,
};
use http_body_util::BodyExt as _;
use mainstay_clock::{BootId, Clock, Monotonic, SystemIds};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{Gateway, Limits, shell};

/// The time of the shop, since 1970.
pub(super) const NOW: Duration = Duration::from_secs(1_800_000_000);
const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 1], 5_000);

/// The key that identity signs with.
pub(super) fn key() -> SigningKey {
    SigningKey::new("key", &[7; 32])
}

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + NOW
    }
    fn monotonic(&self) -> Monotonic {
        Monotonic::from_origin(Duration::ZERO)
    }
    fn boot_id(&self) -> BootId {
        BootId::new("test")
    }
}

pub(super) struct Shop(Router);

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    /// The stable part of a problem's type.
    pub(super) fn slug(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap();
        kind.strip_prefix("urn:commerce:problem:").unwrap()
    }
}

impl Shop {
    pub(super) fn open(access: Access) -> Self {
        Self::of(gateway(access))
    }

    pub(super) fn with_rate(per_second: u32) -> Self {
        Self::of(gateway(Access::Open).rate_limit(NonZeroU32::new(per_second).unwrap()))
    }

    fn of(gateway: Gateway) -> Self {
        let services = ["identity", "inventory", "order", "payment", "shipping"];
        let gateway = services.into_iter().fold(gateway, |gateway, service| {
            gateway.local(service, echo(), OpenApi::default())
        });
        Self::behind(gateway)
    }

    pub(super) fn behind(gateway: Gateway) -> Self {
        let peer = async |mut request: Request, next: Next| {
            let peer = ConnectInfo(SocketAddr::from(CLIENT));
            request.extensions_mut().insert(peer);
            next.run(request).await
        };
        let router = shell(gateway.into_router().unwrap(), Arc::new(SystemIds::new()));
        Self(router.layer(from_fn(peer)))
    }

    pub(super) async fn send(&self, request: Builder) -> Answer {
        self.send_body(request, "").await
    }

    pub(super) async fn send_body(&self, request: Builder, body: &'static str) -> Answer {
        let request = request.body(Body::from(body)).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Answer {
            status,
            headers,
            body,
        }
    }
}

pub(super) fn gateway(access: Access) -> Gateway {
    let keys = KeySet::default();
    keys.publish([&key()]).unwrap();
    let operators = Operators::with_access_token();
    let authentication = Authentication::new(access, keys, operators, Arc::new(Fixed));
    Gateway::new(authentication).limits(Limits {
        rest: Duration::from_millis(1),
        ..Limits::default()
    })
}

pub(super) fn ask(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path)
}

/// Says who called, as a service sees it.
fn echo() -> Router {
    Router::new().fallback(async |request: Request| -> Response {
        assert!(!request.uri().path().ends_with("/panic"), "as asked");
        let (mut parts, _) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, &()).await;
        let header = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        Json(json!({
            "caller": caller.as_ref().ok().and_then(Caller::user_id),
            "operator": caller.as_ref().is_ok_and(Caller::is_operator),
            "traceparent": header("traceparent"),
            "request_id": header("x-request-id"),
        }))
        .into_response()
    })
}
