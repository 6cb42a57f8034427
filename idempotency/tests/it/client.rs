//! A client of a router, without a socket.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each suite uses some of it")]

use axum::{Router, body::Body, http::Request, response::Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let headers = parts.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
        Self {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// The values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let headers = self.headers.iter().filter(|(other, _)| other == name);
        headers
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// Without the mark of a replay, which must be there.
    pub(crate) fn first_time(mut self) -> Self {
        assert_eq!(self.all("idempotent-replayed"), ["true"]);
        self.headers
            .retain(|(name, _)| name != "idempotent-replayed");
        self
    }

    /// The detail of a problem of this status.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.all("content-type"), ["application/problem+json"]);
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().unwrap().to_owned()
    }

    /// The type of a problem of this status.
    pub(crate) fn kind(&self, status: u16) -> String {
        self.problem(status);
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["type"].as_str().unwrap().to_owned()
    }
}

/// A request to `POST path`.
pub(crate) fn post(path: &str, key: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(body.into()).unwrap()
}

pub(crate) async fn ask(app: &Router, request: Request<Body>) -> Got {
    Got::of(app.clone().oneshot(request).await.unwrap()).await
}
