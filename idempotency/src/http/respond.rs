//! Answers as responses.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Problem;
use crate::{Answer, Settled, records::SOON};

/// Marks an answer that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl IntoResponse for Answer {
    /// Header values byte for byte, and all values of a name in order. A tombstone is 410.
    fn into_response(self) -> Response {
        let Some(body) = self.body().cloned() else {
            return gone(&self);
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers() {
            let value = HeaderValue::from_bytes(value);
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// The request had its effect; what is left of its answer is where to look.
fn gone(answer: &Answer) -> Response {
    let status = answer.status();
    let detail = format!(
        "the request was processed with status {status}, and its answer was too large to keep; look at the result itself"
    );
    let mut response = Problem::new(StatusCode::GONE, detail)
        .kind("urn:mainstay:problem:answer-not-kept")
        .into_response();
    let mut locations = answer
        .headers()
        .filter(|(name, _)| name.eq_ignore_ascii_case("location"));
    let location = locations.next().map(|(_, value)| value);
    if let Some(Ok(location)) = location.map(HeaderValue::from_bytes) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

impl IntoResponse for Settled {
    /// The answer that was given before, 409 or 422.
    fn into_response(self) -> Response {
        match self {
            Self::Done(answer) => {
                let mut response = answer.into_response();
                let yes = HeaderValue::from_static("true");
                response.headers_mut().insert(REPLAYED, yes);
                response
            }
            // A lease lasts longer than most requests take: it is worth asking sooner.
            Self::Running { retry_after } => {
                Problem::running(retry_after.min(SOON)).into_response()
            }
            Self::Mismatch => Problem::mismatch().into_response(),
        }
    }
}
