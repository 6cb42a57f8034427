//! The trace of a request: its span, and the header `traceparent` that hands it on.

use std::sync::OnceLock;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
};
use tracing::{Span, field::Empty};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How the trace context of a span is found out.
type Reader = fn(&Span) -> Option<String>;

static READER: OnceLock<Reader> = OnceLock::new();

/// Says how the trace context of a span is found out, in a process that exports spans. Call it once,
/// before any request.
pub fn trace_spans(reader: Reader) {
    READER.get_or_init(|| reader);
}

/// The trace context that the headers of a request name.
#[must_use]
pub fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get(TRACEPARENT)?.to_str().ok()
}

/// The span of a request, which is a part of the trace `given`. The request then names the span as what
/// its callees belong to, or, where spans are not exported, `given`, or what `mint` makes.
pub fn request_span(
    request: &mut Request,
    given: Option<String>,
    mint: impl FnOnce() -> String,
) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let reader = READER.get();
    // A minted context names a span that nobody exports.
    let given = given.or_else(|| reader.is_none().then(mint));
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}").trim_end(),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        traceparent = given.as_deref(),
    );
    let own = reader.and_then(|read| read(&span)).or(given);
    let headers = request.headers_mut();
    headers.remove(TRACEPARENT);
    let own = own.and_then(|own| HeaderValue::try_from(own).ok());
    headers.extend(own.map(|own| (TRACEPARENT, own)));
    span
}
