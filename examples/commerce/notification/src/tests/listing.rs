//! Lists of notifications, page by page.

use axum::http::{Method, StatusCode};
use commerce_contracts::RefundKind;
use serde_json::{Value, json};

use super::{
    fixture::{Fixture, confirmed, refunded},
    names,
};

#[tokio::test]
async fn a_list_goes_on_behind_its_last_event() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e000", &confirmed("o", "cust-001")).await;
    for number in 1..=60 {
        let id = format!("e{number:03}");
        shop.handle(&id, &refunded("o", RefundKind::Refund, number))
            .await;
    }
    let path = "/api/v1/notifications?user=cust-001&order=o";
    let (_, first) = shop.ask(Method::GET, path, None).await;
    assert_eq!(first["notifications"].as_array().unwrap().len(), 50);
    assert_eq!(first["next"], "e011.email");
    let (_, rest) = shop
        .ask(Method::GET, &format!("{path}&before=e011.email"), None)
        .await;
    let rest_of = rest["notifications"].as_array().unwrap();
    assert_eq!((rest_of.len(), &rest["next"]), (11, &Value::Null));
    let (status, one) = shop
        .ask(Method::GET, "/api/v1/notifications/e000.email", None)
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(one["body"].as_str().unwrap().contains("2 x SKU-001"));
    for (wrong, expected) in [
        ("", 422),
        ("?user=%00", 422),
        ("?user=cust-001&sort=up", 400),
        ("?user=cust-001&before=e011", 400),
    ] {
        let path = format!("/api/v1/notifications{wrong}");
        let (status, _) = shop.ask(Method::GET, &path, None).await;
        assert_eq!(status, expected, "{wrong}");
    }
}

/// One event has one channel, and the others two: a page ends between the two of an event.
#[tokio::test]
async fn a_list_goes_on_between_the_channels_of_an_event() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let event = async |number: i64| {
        let id = format!("e{number:03}");
        let refund = refunded("o", RefundKind::Refund, number);
        shop.handle(&id, &refund).await;
    };
    shop.handle("e000", &confirmed("o", "cust-001")).await;
    let both = json!({"user": "cust-001", "channels": ["email", "sms"]});
    shop.ask(Method::PUT, "/api/v1/preferences", Some(both))
        .await;
    for number in 1..=60 {
        event(number).await;
    }
    let one = json!({"user": "cust-001", "channels": ["email"]});
    shop.ask(Method::PUT, "/api/v1/preferences", Some(one))
        .await;
    event(61).await;
    let mut expected = vec!["e061.email".to_owned()];
    for number in (1..=60).rev() {
        expected.extend(["email", "sms"].map(|channel| format!("e{number:03}.{channel}")));
    }
    expected.push("e000.email".to_owned());
    let first = "/api/v1/notifications?user=cust-001";
    let (mut path, mut seen, mut pages) = (first.to_owned(), Vec::new(), Vec::new());
    loop {
        let (_, page) = shop.ask(Method::GET, &path, None).await;
        let listed = page["notifications"].as_array().unwrap();
        seen.extend(
            names(listed, "notification_id")
                .into_iter()
                .map(str::to_owned),
        );
        pages.push(listed.len());
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("{first}&before={next}");
    }
    assert_eq!(pages, [50, 50, 22]);
    assert_eq!(seen, expected);
}
