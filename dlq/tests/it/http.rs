//! The router, as a browser sees it.
#![expect(clippy::unwrap_used, reason = "tests")]

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, request::Parts},
};
use mainstay_database::memory::Connection;
use mainstay_dlq::{
    conformance::Fixture as _,
    http::{Denied, Role, Routes},
};
use mainstay_inbox::{
    HandlerError, Handlers, Received,
    failure::{Failure, FailureKind, FailureOutcome, FailurePolicy as _},
};
use mainstay_messaging::{
    Delivery, Event, Group, Message, Partition, Position, Topic, broker::Content,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::memory::{MemoryFixture, Queue};

#[derive(Serialize, Deserialize)]
struct Paid {
    cents: i64,
}

impl Event for Paid {
    const TOPIC: &'static str = "orders";
    const KIND: &'static str = "Paid";
}

async fn book(_: &mut Connection, paid: Received<Paid>) -> Result<(), HandlerError> {
    if paid.event.cents < 0 {
        return Err(HandlerError::permanent("a negative amount"));
    }
    Ok(())
}

fn authorize(parts: &Parts, role: Role) -> Result<String, Denied> {
    let name = parts
        .headers
        .get("x-operator")
        .and_then(|name| name.to_str().ok());
    match (name, role) {
        (None, _) => Err(Denied::Unauthenticated),
        (Some("guest"), Role::Operator) => Err(Denied::Forbidden),
        (Some(name), _) => Ok(name.to_owned()),
    }
}

fn group() -> Group {
    Group::from_static("billing")
}

async fn dead_letter(queue: &Queue, cents: i64) {
    let message = Message::builder().source("/shop").id(format!("m{cents}"));
    let message = message.event(&Paid { cents }).key("ada").build().unwrap();
    let delivery = Delivery {
        position: Position {
            partition: Partition {
                topic: Topic::from_static("orders"),
                number: 0,
            },
            offset: 0,
        },
        content: Content::Message(message),
    };
    let failure = Failure::new(FailureKind::Permanent, 1, "a negative amount");
    let outcome = queue.on_failure(&group(), &delivery, &failure).await;
    assert_eq!(outcome.unwrap(), FailureOutcome::DeadLettered);
}

fn routes(queue: &Queue) -> Router {
    let handlers = Handlers::new().on(book);
    let routes = Routes::new(queue.desk().check::<Paid>(), authorize);
    routes
        .dry_runs(queue.replayer(group(), handlers).unwrap())
        .into_router()
}

async fn ask(
    router: &Router,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    ask_as(router, method, path, body, Some("ada")).await
}

async fn ask_as(
    router: &Router,
    method: &str,
    path: &str,
    body: Option<Value>,
    operator: Option<&str>,
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(operator) = operator {
        request = request.header("x-operator", operator);
    }
    let request = request.header("content-type", "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = router
        .clone()
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap();
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
    }
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

#[tokio::test]
async fn an_operator_gets_from_the_group_to_the_replay() {
    let queue = MemoryFixture::new().queue(&[]);
    dead_letter(&queue, -5).await;
    let router = routes(&queue);
    let (_, groups) = ask(&router, "GET", "/groups?consumer=billing", None).await;
    assert_eq!(groups[0]["count"], 1);
    let fingerprint = groups[0]["fingerprint"].as_str().unwrap();
    let path = format!("/messages?fingerprint={fingerprint}&state=dead");
    let (_, page) = ask(&router, "GET", &path, None).await;
    let id = page["items"][0]["id"].as_i64().unwrap();
    let of = |act: &str| format!("/messages/{id}{act}");
    let (_, shown) = ask(&router, "GET", &of(""), None).await;
    assert_eq!(shown["payload"]["text"], r#"{"cents":-5}"#);
    assert_eq!(
        (&shown["state"], &shown["position"]),
        (&json!("dead"), &json!("orders/0/0"))
    );
    let (_, ran) = ask(
        &router,
        "POST",
        &of("/dry-run"),
        Some(json!({"reason": "to see"})),
    )
    .await;
    assert_eq!(ran["error"], "a negative amount");
    let edit = |payload: &str| json!({"revision": 0, "payload": payload, "reason": "a typo"});
    let (status, problem) = ask(&router, "POST", &of("/edit"), Some(edit("{"))).await;
    assert_eq!(
        (status, &problem["type"]),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            &json!("urn:mainstay:dlq:invalid-edit")
        )
    );
    let (_, edited) = ask(&router, "POST", &of("/edit"), Some(edit(r#"{"cents":5}"#))).await;
    assert_eq!(edited["revision"], 1);
    let (_, ran) = ask(
        &router,
        "POST",
        &of("/dry-run"),
        Some(json!({"reason": "to see"})),
    )
    .await;
    assert_eq!(ran["error"], Value::Null);
    let asked = json!({"consumer": "billing", "topic": "orders", "key": "ada", "reason": "mended"});
    let (status, _) = ask(&router, "POST", "/keys/replay", Some(asked)).await;
    assert_eq!(status, StatusCode::OK);
    let (_, log) = ask(&router, "GET", &format!("/audit?message={id}"), None).await;
    let acts: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["act"])
        .collect();
    assert_eq!(acts, ["replay", "dry_run", "edit", "dry_run"]);
    assert_eq!(log["items"][0]["operator"], "ada");
}

#[tokio::test]
async fn a_bulk_act_is_a_job() {
    let queue = MemoryFixture::new().queue(&[]);
    dead_letter(&queue, -5).await;
    let router = routes(&queue);
    let start = json!({"act": "discard", "query": {"key": "ada"}, "rate": 10.0, "reason": "tests"});
    let (status, job) = ask(&router, "POST", "/jobs", Some(start)).await;
    assert_eq!(
        (status, &job["state"]),
        (StatusCode::ACCEPTED, &json!("running"))
    );
    let path = format!("/jobs/{}", job["id"]);
    assert_eq!(
        ask(&router, "GET", &path, None).await.1["query"]["key"],
        "ada"
    );
    let cancel = format!("{path}/cancel");
    let (status, _) = ask(&router, "POST", &cancel, Some(json!({"reason": "no"}))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, jobs) = ask(&router, "GET", "/jobs", None).await;
    assert_eq!(jobs[0]["state"], "cancelled");
}

#[tokio::test]
async fn the_callback_decides_who_may_do_what() {
    let queue = MemoryFixture::new().queue(&[]);
    dead_letter(&queue, -5).await;
    let router = routes(&queue);
    for path in [
        "/groups",
        "/messages",
        "/messages/1",
        "/jobs",
        "/jobs/1",
        "/audit",
    ] {
        let (status, _) = ask_as(&router, "GET", path, None, None).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let acts = ["replay", "discard", "restore", "edit", "dry-run"];
    let acts = acts.map(|act| format!("/messages/1/{act}"));
    let others = ["/keys/replay", "/jobs", "/jobs/1/cancel"].map(str::to_owned);
    for path in acts.into_iter().chain(others) {
        let body = Some(json!({"reason": "x"}));
        let (status, _) = ask_as(&router, "POST", &path, body, Some("guest")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    let (status, _) = ask_as(&router, "GET", "/messages/1", None, Some("guest")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn wrong_requests_are_problems() {
    let queue = MemoryFixture::new().queue(&[]);
    dead_letter(&queue, -5).await;
    let router = routes(&queue);
    let reason = |reason: &str| Some(json!({"reason": reason}));
    for (method, path, body, expected) in [
        ("GET", "/messages/9", None, 404),
        ("GET", "/messages/x", None, 400),
        ("GET", "/messages?state=lost", None, 400),
        ("GET", "/nothing", None, 404),
        ("POST", "/messages/1/restore", reason("x"), 409),
        ("POST", "/messages/1/discard", reason(" "), 400),
        ("POST", "/messages/1/discard", Some(json!({})), 422),
    ] {
        let (status, problem) = ask(&router, method, path, body).await;
        assert_eq!(
            (status.as_u16(), &problem["status"]),
            (expected, &json!(expected)),
            "{path}"
        );
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
    }
}
