//! Errors as `application/problem+json` (RFC 9457).

use std::{borrow::Cow, error::Error as StdError, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use mainstay_database::ErrorKind;
use serde_json::json;

use crate::{Error, records::SOON};

/// What a handler answers instead of its result: a status and a body of type
/// `application/problem+json`.
///
/// It converts from every error, so `?` works in handlers. What heals by itself becomes 503, a lost
/// race 409, and anything else 500; its text goes to the log, not to the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    status: StatusCode,
    kind: Option<Cow<'static, str>>,
    title: Cow<'static, str>,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    lost_a_race: bool,
}

impl Problem {
    /// An answer of the handler's own, such as 404 with `there is no such order`.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            kind: None,
            title: status.canonical_reason().unwrap_or("Error").into(),
            detail: detail.into(),
            retry_after: None,
            lost_a_race: false,
        }
    }

    /// The same with a `type`: a URI by which a program tells problems of one status apart.
    #[must_use]
    pub fn kind(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.kind = Some(uri.into());
        self
    }

    /// The same with a title, which is the same for every problem of its `type`; default: the reason
    /// phrase of the status.
    #[must_use]
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.title = title.into();
        self
    }

    /// The same, and when to ask again, in whole seconds.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether another transaction was first, so that the request can be begun again.
    pub(super) const fn has_lost_a_race(&self) -> bool {
        self.lost_a_race
    }

    fn race() -> Self {
        Self {
            lost_a_race: true,
            ..Self::running(SOON)
        }
    }

    /// A body that cannot be read.
    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail).kind("urn:mainstay:problem:malformed-body")
    }

    pub(super) fn invalid_key(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
            .kind("urn:mainstay:problem:idempotency-key-invalid")
    }

    pub(super) fn key_is_missing() -> Self {
        let detail = "this operation needs the header Idempotency-Key";
        Self::new(StatusCode::BAD_REQUEST, detail)
            .kind("urn:mainstay:problem:idempotency-key-missing")
    }

    pub(super) fn running(wait: Duration) -> Self {
        let detail = "a request with this Idempotency-Key is being processed; ask again";
        Self::new(StatusCode::CONFLICT, detail)
            .kind("urn:mainstay:problem:request-in-progress")
            .retry_after(wait)
    }

    pub(super) fn mismatch() -> Self {
        let detail = "this Idempotency-Key was used for another request; use a new one";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
            .kind("urn:mainstay:problem:idempotency-key-reused")
    }

    pub(super) fn unavailable() -> Self {
        let detail = "the request cannot be processed now; ask again with the same key";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .kind("urn:mainstay:problem:unavailable")
            .retry_after(SOON)
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request could not be processed",
        )
        .kind("urn:mainstay:problem:internal")
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Problem {
    fn from(error: E) -> Self {
        let error: &(dyn StdError + 'static) = &error;
        match error.downcast_ref::<Error>() {
            Some(Error::Conflict { .. } | Error::Fenced { .. }) => return Self::race(),
            Some(Error::Unavailable(_)) => {
                tracing::warn!(%error, "an idempotency key could not be looked up");
                return Self::unavailable();
            }
            _ => {}
        }
        match ErrorKind::of(error) {
            Some(ErrorKind::Conflict) => Self::race(),
            Some(ErrorKind::Unavailable | ErrorKind::OutcomeUnknown) => {
                tracing::warn!(%error, "a request with an idempotency key met an outage");
                Self::unavailable()
            }
            Some(ErrorKind::Aborted | ErrorKind::Final) | None => {
                tracing::error!(%error, "a request with an idempotency key failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let (Some(kind), Some(members)) = (self.kind, body.as_object_mut()) {
            members.insert("type".to_owned(), kind.into());
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(wait) = self.retry_after {
            // Rounded up: whoever asks a moment too early has to ask twice.
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            if let Ok(seconds) = HeaderValue::try_from(seconds.to_string()) {
                headers.insert(header::RETRY_AFTER, seconds);
            }
        }
        response
    }
}
