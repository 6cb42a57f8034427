//! The ids that tie a request to what it causes: `X-Request-Id`, which the answer repeats, and the
//! W3C `traceparent`. Sound ones of the client are kept.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use commerce_chassis::request_span;
use mainstay_clock::IdGenerator;
use tracing::Instrument as _;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// The outermost layer.
pub(crate) async fn assign(
    State(ids): State<Arc<dyn IdGenerator>>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers_mut();
    let given = headers.get(&REQUEST_ID).filter(|id| is_id(id.as_bytes()));
    let id = given
        .cloned()
        .or_else(|| value(&ids.uuid().simple().to_string()));
    if let Some(id) = &id {
        headers.insert(REQUEST_ID, id.clone());
    }
    let given = commerce_chassis::traceparent(headers);
    let given = given.filter(|trace| is_traceparent(trace.as_bytes()));
    let given = given.map(str::to_owned);
    let span = request_span(&mut request, given, || traceparent(&*ids));
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response.headers_mut().extend(id.map(|id| (REQUEST_ID, id)));
    response
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

fn is_id(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// A new trace, which is recorded.
fn traceparent(ids: &dyn IdGenerator) -> String {
    let span = ids.random().max(1);
    format!("00-{}-{span:016x}-01", ids.uuid().simple())
}

/// Version 00: ids in lower-case hexadecimal, not all zero.
fn is_traceparent(text: &[u8]) -> bool {
    let parts: Vec<_> = text.split(|byte| *byte == b'-').collect();
    let [version, trace, span, flags] = parts[..] else {
        return false;
    };
    let is_hex = |part: &[u8], length| {
        let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        part.len() == length && part.iter().all(is_digit)
    };
    let is_id =
        |part: &[u8], length| is_hex(part, length) && part.iter().any(|digit| *digit != b'0');
    version == b"00" && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use mainstay_clock::SystemIds;

    use super::*;

    #[test]
    fn a_traceparent_is_kept_only_if_it_is_sound() {
        let sound = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(sound.as_bytes()));
        assert!(is_traceparent(traceparent(&SystemIds::new()).as_bytes()));
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert!(!is_traceparent(wrong.as_bytes()), "{wrong}");
        }
    }
}
