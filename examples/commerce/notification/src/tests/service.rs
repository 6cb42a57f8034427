//! The whole service with its worker, replayer and sender, on files.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use commerce_chassis::{Deployment, ON_A_SERVER, Service, Storage, StorageSettings};
use mainstay_messaging::{Event, Message};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::fixture::{confirmed, user};
use crate::{Settings, open};

async fn publish(deployment: &Deployment, event: &impl Event) {
    let message = Message::builder().source("/test").event(event).build();
    let outcomes = deployment.publisher().publish(&[message.unwrap()]).await;
    assert!(outcomes[0].is_acknowledged(), "{outcomes:?}");
}

async fn ask(
    router: &Router,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let request = request.header("x-operator", "ada").body(body).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Asks until the answer is as wanted.
async fn until(
    router: &Router,
    request: (Method, &str, Option<Value>),
    wanted: impl Fn(&(StatusCode, Value)) -> bool + Send + Sync,
) -> Value {
    let (method, path, body) = request;
    let asking = async {
        loop {
            let answer = ask(router, method.clone(), path, body.clone()).await;
            if wanted(&answer) {
                return answer.1;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answered = tokio::time::timeout(Duration::from_secs(60), asking).await;
    answered.unwrap_or_else(|_| panic!("{path} did not change in time"))
}

#[tokio::test]
async fn an_unknown_customer_is_a_dead_letter_and_its_replay_is_a_mail() {
    if ON_A_SERVER {
        return; // a service there has a database of a fixed name
    }
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::new(&StorageSettings {
        data: directory.path().to_owned(),
        ..StorageSettings::default()
    });
    let deployment = Deployment::open(storage.unwrap()).await.unwrap();
    let service = open(&deployment, &Settings::default()).await.unwrap();
    let Service {
        router,
        tasks,
        log_binding,
        ..
    } = service;
    log_binding.bind().await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    for (_, task) in tasks {
        running.spawn(task);
    }

    publish(&deployment, &confirmed("o", "cust-900")).await;
    let queue = "/api/v1/dlq/notification/messages?state=dead";
    let is_one = |(_, letters): &(StatusCode, Value)| letters["items"][0].is_object();
    let letters = until(&router, (Method::GET, queue, None), is_one).await;
    let letter = &letters["items"][0];

    publish(&deployment, &user("cust-900", 1, "Eva")).await;
    let prefer = "/api/v1/preferences";
    let email = json!({"user": "cust-900", "channels": ["email"]});
    let is_known = |(status, _): &(StatusCode, Value)| *status == StatusCode::OK;
    until(&router, (Method::PUT, prefer, Some(email)), is_known).await;
    let replay = format!("/api/v1/dlq/notification/messages/{}/replay", letter["id"]);
    let reason = json!({"reason": "the contact is there"});
    let (status, answer) = ask(&router, Method::POST, &replay, Some(reason)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");

    let mails = "/api/v1/notifications?user=cust-900";
    let is_sent = |(_, mails): &(StatusCode, Value)| mails["notifications"][0]["status"] == "sent";
    until(&router, (Method::GET, mails, None), is_sent).await;
    let files = std::fs::read_dir(directory.path().join("mails")).unwrap();
    assert_eq!(files.count(), 1);
    deployment.shutdown().cancel();
    while let Some(ended) = running.join_next().await {
        ended.unwrap().unwrap();
    }
}
