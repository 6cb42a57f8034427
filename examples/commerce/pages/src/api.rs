//! The one port of the pages: the HTTP API of the services, in this process or elsewhere.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{
        Method, Request, StatusCode, Uri,
        header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
    },
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::visit::Visit;

/// Deadline of a request.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const LONGEST: usize = 8 * 1024 * 1024;
/// Whatever has a meaning in a URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The services' HTTP API. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Api(Upstream);

#[derive(Clone, Debug)]
enum Upstream {
    Local(Router),
    Remote {
        client: Client<HttpConnector, Body>,
        base: String,
    },
}

/// A URL that is not one of plain HTTP.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{0:?} is no address of an API: expected a URL such as http://127.0.0.1:8080")]
pub struct InvalidAddress(String);

/// What an act was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

/// Why there is no answer that a page can use.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Failed {
    /// The API says no, and why.
    #[error("{}: {}", problem.title, problem.detail)]
    Refused {
        status: StatusCode,
        problem: Problem,
        /// Seconds, as the answer says them.
        retry_after: Option<String>,
    },
    #[error("the services did not answer: {0}")]
    Unanswered(String),
    #[error("{path} answered what this build cannot read: {source}")]
    Unreadable {
        path: String,
        source: serde_json::Error,
    },
}

/// A problem document (RFC 9457), as far as pages show it.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, Debug)]
pub(crate) struct Problem {
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) detail: String,
}

impl Api {
    /// The API that `router` answers, without a socket.
    #[must_use]
    pub const fn embedded(router: Router) -> Self {
        Self(Upstream::Local(router))
    }

    /// The API at an address, such as that of the gateway.
    ///
    /// # Errors
    /// The address is no URL of plain HTTP.
    pub fn remote(address: &str) -> Result<Self, InvalidAddress> {
        let base = address.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = base.parse().ok();
        if uri.is_none_or(|uri| uri.scheme_str() != Some("http") || uri.host().is_none()) {
            return Err(InvalidAddress(address.to_owned()));
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self(Upstream::Remote { client, base }))
    }

    /// What is at `path`; nothing if there is no such thing, or no such route in this build.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        visit: &Visit,
        path: &str,
    ) -> Result<Option<T>, Failed> {
        let request = visit.forwarded(Method::GET, path);
        match self.send(request, Body::empty()).await {
            Ok(answer) => serde_json::from_slice(&answer.body)
                .map(Some)
                .map_err(|source| Failed::Unreadable {
                    path: path.to_owned(),
                    source,
                }),
            Err(Failed::Refused { status, .. })
                if status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED =>
            {
                Ok(None)
            }
            Err(failed) => Err(failed),
        }
    }

    /// Whether there is such a thing, and this visitor may have it.
    pub(crate) async fn is_there(&self, visit: &Visit, path: &str) -> bool {
        let request = visit.forwarded(Method::GET, path);
        self.send(request, Body::empty()).await.is_ok()
    }

    /// Sends an act in the name of the visitor. `key` makes it safe to send twice.
    pub(crate) async fn post(
        &self,
        visit: &Visit,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Result<Answer, Failed> {
        let mut request = visit.forwarded(Method::POST, path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request, Body::from(body.to_string())).await
    }

    async fn send(
        &self,
        request: axum::http::request::Builder,
        body: Body,
    ) -> Result<Answer, Failed> {
        let request = request
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| Failed::Unanswered(error.to_string()))?;
        let answered = tokio::time::timeout(DEADLINE, self.exchange(request)).await;
        answered
            .map_err(|_| Failed::Unanswered(format!("not within {} seconds", DEADLINE.as_secs())))?
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer, Failed> {
        let response = match &self.0 {
            Upstream::Local(router) => match router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Upstream::Remote { client, base } => {
                let request = addressed(request, base)?;
                let answered = client.request(request).await;
                let response = answered.map_err(|error| Failed::Unanswered(error.to_string()))?;
                response.map(Body::new)
            }
        };
        let (head, body) = response.into_parts();
        let body = to_bytes(body, LONGEST).await;
        let body = body.map_err(|error| Failed::Unanswered(error.to_string()))?;
        if head.status.is_success() {
            return Ok(Answer { body });
        }
        let retry_after = head.headers.get(RETRY_AFTER);
        let mut problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        if problem.title.is_empty() {
            problem.title = head.status.to_string();
        }
        Err(Failed::Refused {
            status: head.status,
            problem,
            retry_after: retry_after.and_then(|value| value.to_str().ok().map(str::to_owned)),
        })
    }
}

fn addressed(mut request: Request<Body>, base: &str) -> Result<Request<Body>, Failed> {
    let uri = format!("{base}{}", request.uri());
    *request.uri_mut() = uri
        .parse()
        .map_err(|error: axum::http::uri::InvalidUri| Failed::Unanswered(error.to_string()))?;
    Ok(request)
}

/// A client's text as a part of a path or of a query.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}
