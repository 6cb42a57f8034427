//! The processes of one service in other places. Requests go to one of them until it fails, and then to
//! the next one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{StatusCode, Uri, request::Parts},
    response::{IntoResponse as _, Response},
};
use commerce_chassis::Problem;
use hyper_util::client::legacy::Error;
use serde_json::Value;

use crate::remote::Remote;

/// The largest body of a request, in bytes; the listener has bounded it before.
const LARGEST_BODY: usize = 1 << 20;
/// The largest OpenAPI document, in bytes.
const LARGEST_DOCUMENT: usize = 4 << 20;

/// Clones share the connections, and which process is asked.
#[derive(Clone, Debug)]
pub(crate) struct Replicas {
    all: Arc<[Remote]>,
    /// Counts failures: the process in turn is the one with this number, modulo their number.
    turn: Arc<AtomicUsize>,
}

impl Replicas {
    pub(crate) fn new(urls: impl IntoIterator<Item = Uri>) -> Self {
        Self {
            all: urls.into_iter().map(Remote::new).collect(),
            turn: Arc::default(),
        }
    }

    /// The service's answer, or a problem. A request is sent again only if the process before cannot
    /// have carried it out, or if it changes nothing.
    pub(crate) async fn call(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
            return unreadable().into_response();
        };
        let mut was_refused = true;
        for _ in 0..self.all.len() {
            let error = match self.ask(&head, &body).await {
                Some(Ok(response)) => return response,
                Some(Err(error)) => error,
                None => break,
            };
            was_refused = error.is_connect();
            if !was_refused && !head.method.is_safe() {
                break;
            }
        }
        unreachable(was_refused).into_response()
    }

    /// Asks the process in turn.
    async fn ask(&self, head: &Parts, body: &Bytes) -> Option<Result<Response, Error>> {
        let turn = Turn::take(self);
        let remote = self.all.get(turn.number % self.all.len())?;
        let request = Request::from_parts(head.clone(), Body::from(body.clone()));
        let answered = remote.send(request).await;
        match &answered {
            Ok(_) => turn.keep(),
            Err(error) => {
                tracing::warn!(service = %remote.url(), %error, "a process does not answer");
            }
        }
        Some(answered)
    }

    /// The OpenAPI document of the service.
    pub(crate) async fn document(&self) -> Result<Value, Problem> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static("/openapi.json");
        let response = self.call(request).await;
        let is_document = response.status().is_success();
        let body = to_bytes(response.into_body(), LARGEST_DOCUMENT).await;
        let document = body
            .ok()
            .and_then(|body| serde_json::from_slice(&body).ok());
        let document = document.filter(|_| is_document);
        document.ok_or_else(Problem::unavailable)
    }
}

/// A request to the process in turn. If it gets no answer, and also if nobody waits for one any
/// longer, the next process is in turn.
struct Turn<'a> {
    of: &'a Replicas,
    number: usize,
    failed: bool,
}

impl<'a> Turn<'a> {
    fn take(of: &'a Replicas) -> Self {
        let number = of.turn.load(Ordering::Relaxed);
        Self {
            of,
            number,
            failed: true,
        }
    }

    fn keep(mut self) {
        self.failed = false;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.failed {
            // Requests that fail at the same process count as one.
            let (this, next) = (self.number, self.number.wrapping_add(1));
            let order = Ordering::Relaxed;
            // If another request was first, the next process is in turn already.
            let _ = self.of.turn.compare_exchange(this, next, order, order);
        }
    }
}

fn unreadable() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "unreadable-body",
        "The body could not be read",
        "it ended early, or it is too large",
    )
}

fn unreachable(was_refused: bool) -> Problem {
    let title = "The service does not answer now";
    if was_refused {
        let detail = "nothing was done; send the same request again";
        let away = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "service-away",
            title,
            detail,
        );
        return away.retry_after(1);
    }
    let detail = "the answer was lost: the request may have been carried out; repeat it with the same idempotency key";
    Problem::new(StatusCode::BAD_GATEWAY, "answer-lost", title, detail)
}
