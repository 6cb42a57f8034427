//! Operators and the runs of sagas: who may look and act, and what the journal says of an act.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use commerce_chassis::Caller;
use serde_json::{Value, json};

use super::fixture::Fixture;

const RUNS: &str = "/api/v1/sagas";

/// Sends a request, as `operator` by the header if one is named.
async fn send(
    shop: &Fixture,
    caller: Caller,
    operator: Option<&str>,
    (method, path, body): (Method, &str, &Value),
) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header(header::CONTENT_TYPE, "application/json");
    if let Some(operator) = operator {
        request = request.header("x-operator", operator.as_bytes());
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let (status, body) = shop.send_of(caller, request).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Acts as an operator who has a token.
async fn act(shop: &Fixture, run: &str, act: &str, body: &Value) -> (StatusCode, Value) {
    let path = format!("{RUNS}/{run}/{act}");
    let operator = Caller::operator("op");
    send(shop, operator, None, (Method::POST, &path, body)).await
}

/// An order, and its run.
async fn run(shop: &Fixture) -> (String, String) {
    let order = shop.place().await;
    let runs = shop.get(&format!("{RUNS}?order={order}")).await;
    let run = runs["items"][0]["run"].as_str().unwrap().to_owned();
    (order, run)
}

fn acts(reason: &str) -> [(&'static str, Value); 3] {
    let why = json!({ "reason": reason });
    let skip = json!({"step": "ReserveStock", "result": {}, "reason": reason});
    [("retry", why.clone()), ("skip", skip), ("cancel", why)]
}

#[tokio::test]
async fn customers_neither_see_runs_nor_act_on_them() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let (_, run) = run(&shop).await;
    let before = shop.text(&format!("{RUNS}/{run}")).await;
    let one = format!("{RUNS}/{run}");
    let counts = format!("{RUNS}/counts");
    let mut routes = vec![
        (Method::GET, RUNS.to_owned(), json!({})),
        (Method::GET, counts, json!({})),
        (Method::GET, one.clone(), json!({})),
    ];
    for (act, body) in acts("it is mine") {
        routes.push((Method::POST, format!("{one}/{act}"), body));
    }
    for (method, path, body) in routes {
        let request = (method, &*path, &body);
        let owner = Caller::customer("cust-001");
        let (status, answer) = send(&shop, owner, Some("op"), request).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {answer}");
    }
    assert_eq!(shop.text(&one).await, before);
}

#[tokio::test]
async fn an_act_needs_a_name_a_reason_and_a_run() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let (_, run) = run(&shop).await;
    let one = format!("{RUNS}/{run}");
    let before = shop.text(&one).await;
    for (name, body) in acts("it is stuck") {
        let path = format!("{one}/{name}");
        for nobody in [None, Some(" ")] {
            let request = (Method::POST, &*path, &body);
            let (status, answer) = send(&shop, Caller::anybody(), nobody, request).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {answer}");
            assert_eq!(
                answer["type"], "urn:commerce:problem:operator-missing",
                "{name}"
            );
        }
        let (status, answer) = act(&shop, "none", name, &body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{name}: {answer}");
    }
    for (name, body) in acts(" ") {
        let (status, answer) = act(&shop, &run, name, &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {answer}");
        assert_eq!(answer["type"], "urn:commerce:problem:unsigned", "{name}");
    }
    assert_eq!(shop.text(&one).await, before);
}

#[tokio::test]
async fn acts_are_in_the_timeline_with_who_and_why() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let (order, run) = run(&shop).await;
    let retry = format!("{RUNS}/{run}/retry");
    let why = json!({"reason": "the answer is late"});
    let request = (Method::POST, &*retry, &why);
    let (status, answer) = send(&shop, Caller::anybody(), Some(" Jörg "), request).await;
    assert_eq!((status, &answer["run"]), (StatusCode::OK, &json!(run)));

    let reserved = json!({
        "reservation_id": "res", "order_id": order, "lines": [], "expires_at": null,
    });
    let skip = json!({"step": "ReserveStock", "result": reserved, "reason": "it is on the shelf"});
    let (status, answer) = act(&shop, &run, "skip", &skip).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(shop.newest().await.kind.as_str(), "AuthorizePayment");

    let cancel = json!({"reason": "the customer called"});
    // The header is not heard where a token says who acts.
    let path = format!("{RUNS}/{run}/cancel");
    let request = (Method::POST, &*path, &cancel);
    let (status, answer) = send(&shop, Caller::operator("op"), Some("eve"), request).await;
    assert_eq!(status, StatusCode::OK, "{answer}");

    let timeline = shop.text(&format!("/api/v1/orders/{order}/timeline")).await;
    for part in [
        "by Jörg: the answer is late",
        "by op: it is on the shelf",
        "by op: the customer called",
    ] {
        assert!(timeline.contains(part), "{part}: {timeline}");
    }
}
