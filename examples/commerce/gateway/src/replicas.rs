//! The processes of one service in other places. Requests go to one of them until it fails, and then to
//! the next one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use commerce_chassis::Problem;
use serde_json::Value;

use crate::{remote::Remote, upstream::too_slow};

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
    /// Time until the head of an answer.
    deadline: Duration,
}

impl Replicas {
    pub(crate) fn new(urls: impl IntoIterator<Item = Uri>, deadline: Duration) -> Self {
        Self {
            all: urls.into_iter().map(Remote::new).collect(),
            turn: Arc::default(),
            deadline,
        }
    }

    /// The service's answer, or a problem. A request is sent again only if the process before cannot
    /// have carried it out, or if it changes nothing. One that takes too long is not.
    pub(crate) async fn call(&self, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
            return unreadable().into_response();
        };
        let first = self.turn.load(Ordering::Relaxed);
        let mut was_refused = true;
        for attempt in 0..self.all.len() {
            let number = first.wrapping_add(attempt);
            let remote = &self.all[number % self.all.len()];
            let request = Request::from_parts(head.clone(), Body::from(body.clone()));
            let answered = tokio::time::timeout(self.deadline, remote.send(request)).await;
            let Ok(answered) = answered else {
                self.failed(number);
                return too_slow(self.deadline).into_response();
            };
            let error = match answered {
                Ok(response) => return response,
                Err(error) => error,
            };
            tracing::warn!(service = %remote.url(), %error, "a process does not answer");
            self.failed(number);
            was_refused = error.is_connect();
            if !was_refused && !head.method.is_safe() {
                break;
            }
        }
        unreachable(was_refused).into_response()
    }

    /// The next process is in turn. Requests that fail at the same process count as one.
    fn failed(&self, number: usize) {
        let (next, order) = (number.wrapping_add(1), Ordering::Relaxed);
        // If another request was first, the next process is in turn already.
        let _ = self.turn.compare_exchange(number, next, order, order);
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
