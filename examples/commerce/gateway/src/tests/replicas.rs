//! A service in several processes, some of which fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
};
use commerce_chassis::Access;
use tokio::net::TcpListener;

use super::{
    breaker::listen,
    shop::{Shop, ask, gateway},
};
use crate::Limits;

const STOCK: &str = "/api/v1/stock/SKU-001";
const ORDERS: &str = "/api/v1/orders";

async fn bound() -> (TcpListener, Uri) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url.parse().unwrap())
}

/// A process that says what it was sent, and counts.
async fn sound() -> (Uri, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let router = Router::new().fallback(async move |body: String| {
        counted.fetch_add(1, Ordering::SeqCst);
        format!("{body:?}")
    });
    (listen(router).await, asked)
}

/// A process that takes requests, and ends before it answers.
async fn failing() -> (Uri, Arc<AtomicUsize>) {
    let (listener, url) = bound().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.readable().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, asked)
}

#[tokio::test]
async fn while_one_process_is_down_the_next_one_answers_reads_and_writes_alike() {
    let (closed, down) = bound().await;
    drop(closed);
    let (up, asked) = sound().await;
    let shop = gateway(Access::Open)
        .remote("order", down)
        .remote("order", up);
    let shop = Shop::behind(shop);
    for sent in 1..=3 {
        let answer = shop
            .send_body(ask(Method::POST, ORDERS), "two kettles")
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body, "two kettles");
        assert_eq!(asked.load(Ordering::SeqCst), sent);
    }
}

#[tokio::test]
async fn a_read_whose_answer_is_lost_is_sent_again_and_a_write_is_not() {
    let (down, first) = failing().await;
    let (up, second) = sound().await;
    let twice = |service| {
        let gateway = gateway(Access::Open).remote(service, down.clone());
        Shop::behind(gateway.remote(service, up.clone()))
    };
    let read = twice("inventory").send(ask(Method::GET, STOCK)).await;
    assert_eq!(read.status, StatusCode::OK);
    let asked = || (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst));
    assert_eq!(asked(), (1, 1));

    let shop = twice("order");
    let write = shop.send(ask(Method::POST, ORDERS)).await;
    assert_eq!((write.status.as_u16(), write.slug()), (502, "answer-lost"));
    assert_eq!(asked(), (2, 1));
    // The customer sends it again: the other process is in turn.
    let write = shop.send(ask(Method::POST, ORDERS)).await;
    assert_eq!(write.status, StatusCode::OK);
    assert_eq!(asked(), (2, 2));
}

#[tokio::test]
async fn a_process_that_stands_still_is_asked_once() {
    // It takes connections, and reads nothing.
    let (_listener, still) = bound().await;
    let (up, _) = sound().await;
    let limits = Limits {
        deadline: Duration::from_millis(50),
        ..Limits::default()
    };
    let gateway = gateway(Access::Open).limits(limits);
    let gateway = gateway.remote("inventory", still).remote("inventory", up);
    let shop = Shop::behind(gateway);
    let slow = shop.send(ask(Method::GET, STOCK)).await;
    assert_eq!(slow.slug(), "service-too-slow");
    // A busy machine may take longer than the deadline.
    let answered =
        async { while shop.send(ask(Method::GET, STOCK)).await.status != StatusCode::OK {} };
    let answered = tokio::time::timeout(Duration::from_secs(60), answered);
    answered.await.unwrap();
}

#[tokio::test]
async fn a_customer_who_hangs_up_is_no_failure_of_the_process() {
    let (_listener, still) = bound().await;
    let (up, _) = sound().await;
    let gateway = gateway(Access::Open).remote("inventory", still);
    let shop = Shop::behind(gateway.remote("inventory", up));
    let asked = || shop.send(ask(Method::GET, STOCK));
    for _ in 0..2 {
        let hung_up = tokio::time::timeout(Duration::from_millis(50), asked()).await;
        assert!(hung_up.is_err(), "the process stands still");
    }
}

#[tokio::test]
async fn if_all_processes_are_down_nothing_was_done() {
    let mut gateway = gateway(Access::Open);
    for _ in 0..2 {
        let (closed, down) = bound().await;
        drop(closed);
        gateway = gateway.remote("order", down);
    }
    let shop = Shop::behind(gateway);
    let away = shop.send(ask(Method::POST, ORDERS)).await;
    assert_eq!((away.status.as_u16(), away.slug()), (503, "service-away"));
}
