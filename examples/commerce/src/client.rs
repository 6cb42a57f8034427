//! A small HTTP client of one shop: elsewhere, over plain HTTP on kept-alive connections, or in this
//! process.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Request, StatusCode},
};
use commerce_chassis::{Caller, send_as};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::error::Failure;

/// Deadline of a request.
const DEADLINE: Duration = Duration::from_secs(10);

/// A client of one shop; clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    way: Way,
    /// Empty in this process: an address is then a path.
    target: String,
}

#[derive(Clone, Debug)]
enum Way {
    Connections(Pool<HttpConnector, Full<Bytes>>),
    /// The services of this process, and who asks them.
    Here(Router, Caller),
}

/// An answered request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) order_id: Option<String>,
}

/// An order as the shop shows it.
#[derive(Deserialize, Debug)]
pub(crate) struct Shown {
    pub(crate) status: String,
    pub(crate) total_minor: i64,
    pub(crate) history: Vec<Entered>,
}

impl Shown {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&*self.status, "completed" | "cancelled")
    }

    /// Why it was cancelled; empty if it was not.
    pub(crate) fn reason(&self) -> &str {
        let mut reasons = self.history.iter().filter_map(|it| it.reason.as_deref());
        reasons.next_back().unwrap_or_default()
    }
}

#[derive(Deserialize, Debug)]
pub(crate) struct Entered {
    pub(crate) status: String,
    pub(crate) at: String,
    pub(crate) reason: Option<String>,
}

#[derive(Deserialize)]
struct Readiness {
    status: String,
}

#[derive(Deserialize)]
struct Placed {
    order_id: String,
}

impl Client {
    pub(crate) fn new(target: &str) -> Result<Self, Failure> {
        let target = target.trim_end_matches('/');
        if !target.starts_with("http://") {
            let wrong = format!("target {target:?}: expected a URL such as http://127.0.0.1:8080");
            return Err(Failure::plain(wrong).unanswered());
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        Ok(Self {
            way: Way::Connections(pool),
            target: target.to_owned(),
        })
    }

    /// A client of the services of this process, which needs no token.
    pub(crate) const fn here(services: Router, caller: Caller) -> Self {
        Self {
            way: Way::Here(services, caller),
            target: String::new(),
        }
    }

    /// Checks that a healthy shop answers.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        let (status, _) = self
            .send(Method::GET, "/healthz", None, Bytes::new())
            .await?;
        if status == StatusCode::OK {
            return Ok(());
        }
        Err(Failure::plain(format!("{} is not healthy: {status}", self.target)).unanswered())
    }

    /// What the shop says about its readiness: `ok`, or `attention`.
    pub(crate) async fn status(&self) -> Result<String, Failure> {
        let (_, body) = self
            .send(Method::GET, "/readyz", None, Bytes::new())
            .await?;
        let ready: Readiness = serde_json::from_slice(&body)
            .map_err(|error| Failure::new("the answer is not the readiness", &error))?;
        Ok(ready.status)
    }

    pub(crate) async fn place(&self, key: String, body: String) -> Result<Reply, Failure> {
        let (status, body) = self
            .send(Method::POST, "/api/v1/orders", Some(key), body.into())
            .await?;
        let placed = (status == StatusCode::ACCEPTED)
            .then(|| serde_json::from_slice::<Placed>(&body))
            .transpose()
            .map_err(|error| Failure::new("the answer is not an order", &error))?;
        Ok(Reply {
            status,
            order_id: placed.map(|placed| placed.order_id),
        })
    }

    pub(crate) async fn show(&self, order_id: &str) -> Result<Shown, Failure> {
        let path = format!("/api/v1/orders/{order_id}");
        let (status, body) = self.send(Method::GET, &path, None, Bytes::new()).await?;
        if status != StatusCode::OK {
            return Err(Failure::plain(format!("order {order_id}: {status}")));
        }
        serde_json::from_slice(&body)
            .map_err(|error| Failure::new("the answer is not an order", &error))
    }

    /// The address of a page of the shop.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.target)
    }

    /// The JSON of a page; none = there is no such page.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>, Failure> {
        let (status, body) = self.send(Method::GET, path, None, Bytes::new()).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| Failure::new(format!("{path} is not JSON"), &error)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(Failure::plain(format!("{path}: {status}"))),
        }
    }

    /// The status of a page that is read as a whole.
    pub(crate) async fn status_of(&self, path: &str) -> Result<StatusCode, Failure> {
        let (status, _) = self.send(Method::GET, path, None, Bytes::new()).await?;
        Ok(status)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<String>,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.url(path))
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request
            .body(body)
            .map_err(|error| Failure::new("the request cannot be written", &error).unanswered())?;
        tokio::time::timeout(DEADLINE, self.exchange(request))
            .await
            .map_err(|_| {
                let line = format!("no answer within {} s", DEADLINE.as_secs());
                Failure::plain(line).unanswered()
            })?
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<(StatusCode, Bytes), Failure> {
        let response = match &self.way {
            Way::Connections(pool) => {
                let answered = pool.request(request.map(Full::new)).await;
                answered
                    .map_err(|error| Failure::new("no answer", &error).unanswered())?
                    .map(Body::new)
            }
            Way::Here(services, caller) => {
                let mut request = request.map(Body::from);
                send_as(&mut request, caller.clone());
                match services.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| Failure::new("the connection broke during the answer", &error))?;
        Ok((status, body.to_bytes()))
    }
}
