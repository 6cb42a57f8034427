//! Services that are away, slow or busy, in this process and in another one.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::IntoResponse as _,
};
use commerce_chassis::{Access, Problem, utoipa::openapi::OpenApi};
use serde_json::json;
use tokio::{net::TcpListener, sync::Notify};

use super::shop::{Shop, ask, gateway};
use crate::Limits;

const STOCK: &str = "/api/v1/stock/SKU-001";

fn inventory(router: Router) -> Shop {
    Shop::behind(gateway(Access::Open).local("inventory", router, OpenApi::default()))
}

#[tokio::test]
async fn the_circuit_opens_after_failures_and_closes_when_the_service_is_back() {
    let (away, calls) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (is_away, counted) = (Arc::clone(&away), Arc::clone(&calls));
    let shop = inventory(Router::new().fallback(async move || {
        counted.fetch_add(1, Ordering::SeqCst);
        if is_away.load(Ordering::SeqCst) {
            return Problem::unavailable().into_response();
        }
        "stock".into_response()
    }));
    let mut reached = 0;
    let opened = loop {
        let answer = shop.send(ask(Method::GET, STOCK)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers.contains_key("retry-after"));
        if answer.slug() == "service-away" {
            break answer;
        }
        reached += 1;
    };
    assert!(
        opened.body["detail"]
            .as_str()
            .unwrap()
            .contains("inventory"),
        "{opened:?}"
    );
    // The refused request did not reach the service.
    assert_eq!(calls.load(Ordering::SeqCst), reached);
    away.store(false, Ordering::SeqCst);
    while shop.send(ask(Method::GET, STOCK)).await.status != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    // It is closed for good: many requests in a row pass.
    for _ in 0..50 {
        assert_eq!(
            shop.send(ask(Method::GET, STOCK)).await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn refusals_of_a_service_do_not_open_its_circuit() {
    let shop = inventory(Router::new().fallback(async || Problem::not_found("no such product")));
    for _ in 0..100 {
        let answer = shop.send(ask(Method::GET, STOCK)).await;
        assert_eq!(
            (answer.status, answer.slug()),
            (StatusCode::NOT_FOUND, "not-found")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_in_time_is_given_up() {
    let shop = inventory(Router::new().fallback(async || pending::<()>().await));
    let answer = shop.send(ask(Method::GET, STOCK)).await;
    assert_eq!(
        (answer.status, answer.slug()),
        (StatusCode::GATEWAY_TIMEOUT, "service-too-slow")
    );
}

#[tokio::test]
async fn a_slow_service_takes_no_more_than_its_share() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (arrived, wait) = (Arc::clone(&entered), Arc::clone(&leave));
    let slow = Router::new().fallback(async move || {
        arrived.notify_one();
        wait.notified().await;
    });
    let quick = Router::new().fallback(async || "paid");
    let limits = Limits {
        at_once: 1,
        ..Limits::default()
    };
    let gateway = gateway(Access::Open).limits(limits);
    let gateway = gateway.local("inventory", slow, OpenApi::default());
    let shop = Shop::behind(gateway.local("payment", quick, OpenApi::default()));
    let first = shop.send(ask(Method::GET, STOCK));
    let others = async {
        entered.notified().await;
        let second = shop.send(ask(Method::GET, STOCK)).await;
        assert_eq!(
            (second.status.as_u16(), second.slug()),
            (503, "service-away")
        );
        // The other service does not notice.
        let other = shop.send(ask(Method::GET, "/api/v1/payments/o-1")).await;
        assert_eq!(other.status, StatusCode::OK);
        leave.notify_one();
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.status, StatusCode::OK);
}

/// A service in "another process": behind a socket.
pub(super) async fn listen(router: Router) -> Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    format!("http://{address}").parse().unwrap()
}

#[tokio::test]
async fn a_remote_service_gets_the_request_with_its_token_and_answers() {
    let echo = Router::new().fallback(async |uri: Uri, headers: HeaderMap| {
        assert!(!headers.contains_key("origin") && !headers.contains_key("sec-fetch-site"));
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Json(json!({
            "path": uri.to_string(),
            "token": header("authorization"),
            "host": header("x-forwarded-host"),
            "hop": header("x-hop"),
        }))
    });
    let url = listen(echo).await;
    let shop = Shop::behind(gateway(Access::Open).remote("inventory", url));
    let document = shop.send(ask(Method::GET, "/openapi.json")).await;
    assert_eq!(document.status, StatusCode::OK);
    let request = ask(Method::GET, "/api/v1/stock/SKU-001?x=1")
        .header("host", "shop.example")
        .header("origin", "http://shop.example")
        .header("sec-fetch-site", "same-origin")
        .header("authorization", "Bearer old")
        .header("connection", "x-hop")
        .header("x-hop", "1");
    let answer = shop.send(request).await;
    assert_eq!(
        answer.body,
        json!({"path": "/api/v1/stock/SKU-001?x=1", "token": "Bearer old", "host": "shop.example", "hop": null})
    );
}

#[tokio::test]
async fn a_remote_service_that_is_down_is_a_503_and_does_not_fail_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{free}").parse().unwrap();
    let up = Router::new().fallback(async || "paid");
    let gateway = gateway(Access::Open).remote("inventory", url);
    let shop = Shop::behind(gateway.local("payment", up, OpenApi::default()));
    let answer = shop.send(ask(Method::GET, STOCK)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.slug()),
        (503, "service-away")
    );
    assert_eq!(answer.headers["retry-after"], "1");
    let other = shop.send(ask(Method::GET, "/api/v1/payments/o-1")).await;
    assert_eq!(other.status, StatusCode::OK);
    // The document of the shop waits for the service, too: half of one would mislead.
    let document = shop.send(ask(Method::GET, "/openapi.json")).await;
    assert_eq!(document.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn the_document_does_not_wait_for_a_service_that_never_answers() {
    // It takes connections, and reads nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shop = Shop::behind(gateway(Access::Open).remote("order", url.parse().unwrap()));
    let asked = shop.send(ask(Method::GET, "/openapi.json"));
    let answer = tokio::time::timeout(10 * Limits::default().deadline, asked).await;
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.slug()),
        (503, "unavailable")
    );
}

#[tokio::test]
async fn a_lost_answer_is_not_taken_for_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Uri = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let hang_up = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
    });
    let shop = Shop::behind(gateway(Access::Open).remote("order", url));
    let answer = shop.send(ask(Method::POST, "/api/v1/orders")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.slug()),
        (502, "answer-lost")
    );
    tokio::time::timeout(Duration::from_secs(10), hang_up)
        .await
        .unwrap()
        .unwrap();
}
