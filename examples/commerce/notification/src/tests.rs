//! The handlers and the sender on a database.

mod fixture;
mod listing;
mod service;
#[cfg(feature = "smtp")]
mod smtp;

use axum::http::{Method, StatusCode};
use commerce_chassis::Caller;
use commerce_contracts::{
    CancelReason, Channel, Compensation, OrderCancelled, OrderId, RefundKind,
    ShipmentStatus as Status,
};
use mainstay_database::Transactions as _;
use serde_json::{Value, json};

use crate::sink::Undelivered;
use fixture::{Fixture, confirmed, moved, refunded, user};

fn names<'a>(notifications: &'a [Value], field: &str) -> Vec<&'a str> {
    let text = |notification: &'a Value| notification[field].as_str().unwrap();
    notifications.iter().map(text).collect()
}

#[tokio::test]
async fn a_customer_hears_of_the_steps_that_they_care_about() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    for (id, status) in [
        ("e2", Status::Packed),
        ("e3", Status::Dispatched),
        ("e4", Status::InTransit),
        ("e5", Status::Delivered),
    ] {
        shop.handle(id, &moved("o", status)).await;
    }
    shop.handle("e6", &refunded("o", RefundKind::Refund, 599))
        .await;
    shop.send().await;
    let listed = shop.list("cust-001").await;
    let news = ["refunded", "delivered", "dispatched", "confirmed"];
    assert_eq!(names(&listed, "news"), news);
    assert_eq!(names(&listed, "status"), ["sent"; 4]);
    let files = shop.files();
    let files: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "e1.email.1.txt",
        "e3.email.1.txt",
        "e5.email.1.txt",
        "e6.email.1.txt",
    ];
    assert_eq!(files, expected);
    assert_eq!(shop.list("cust-002").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_repeated_event_is_one_mail() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    shop.send().await;
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    shop.send().await;
    assert_eq!(shop.list("cust-001").await.len(), 1);
    assert_eq!(shop.files().len(), 1);
}

#[tokio::test]
async fn a_cancellation_tells_that_held_money_is_released_and_a_void_tells_nothing() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let cancelled = OrderCancelled {
        order_id: OrderId::new("o"),
        customer_id: "cust-005".to_owned(),
        reason: CancelReason {
            code: "undeliverable".to_owned(),
            detail: "no carrier".to_owned(),
        },
        stage: "payment_authorized".to_owned(),
        compensations: vec![Compensation {
            step: "AuthorizePayment".to_owned(),
            outcome: "undone".to_owned(),
        }],
    };
    shop.handle("e1", &refunded("o", RefundKind::Void, 2_599))
        .await;
    shop.handle("e2", &cancelled).await;
    shop.send().await;
    // Every fifth customer reads German.
    let files = shop.files();
    let [mail] = &files.values().collect::<Vec<_>>()[..] else {
        panic!("{files:?}");
    };
    assert!(mail.contains("ist storniert"), "{mail}");
    assert!(mail.contains("liefert nicht"), "{mail}");
    assert!(mail.contains("freigegeben"), "{mail}");
}

#[tokio::test]
async fn news_that_come_before_their_order_wait_for_it() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e2", &moved("o", Status::Dispatched)).await;
    shop.handle("e3", &refunded("o", RefundKind::Refund, 100))
        .await;
    assert_eq!(shop.list("cust-001").await.len(), 0);
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    shop.handle("e4", &moved("o", Status::Delivered)).await;
    let listed = shop.list("cust-001").await;
    let news = ["delivered", "refunded", "dispatched", "confirmed"];
    assert_eq!(names(&listed, "news"), news);
    assert!(
        listed[1]["subject"]
            .as_str()
            .unwrap()
            .starts_with("EUR 1.00")
    );
}

#[tokio::test]
async fn an_unknown_customer_is_tried_again_until_identity_has_told() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = confirmed("o", "cust-900");
    let failed = shop.try_handle("e1", &order).await.unwrap_err();
    // Counted, so that it becomes a dead letter; not permanent, for the contact may come.
    assert!(failed.counts_attempt() && !failed.is_permanent());
    assert_eq!(shop.list("cust-900").await.len(), 0);
    shop.handle("u1", &user("cust-900", 1, "Eva")).await;
    shop.handle("e1", &order).await;
    let listed = shop.list("cust-900").await;
    assert_eq!(names(&listed, "recipient"), ["cust-900@customers.example"]);
    assert!(
        listed[0]["subject"]
            .as_str()
            .unwrap()
            .starts_with("Ihre Bestellung")
    );
}

#[tokio::test]
async fn a_contact_never_becomes_older() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("u2", &user("cust-001", 2, "Eva")).await;
    shop.handle("u1", &user("cust-001", 1, "Adam")).await;
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    shop.send().await;
    let mail = &shop.files()["e1.email.1.txt"];
    assert!(mail.contains("Guten Tag Eva"), "{mail}");
}

#[tokio::test]
async fn a_mail_that_cannot_be_rendered_is_a_permanent_failure() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = confirmed("o", "cust-001");
    let failed = shop.run(&shop.broken, "e1", &order).await;
    assert!(failed.unwrap_err().is_permanent());
    assert_eq!(shop.list("cust-001").await.len(), 0);
}

#[tokio::test]
async fn a_kill_between_sending_and_recording_is_one_file() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    // The outcome is lost.
    assert_eq!(shop.sender.send(shop.now()).await.unwrap().len(), 1);
    let before = shop.files();
    assert_eq!(before.len(), 1);
    assert_eq!(names(&shop.list("cust-001").await, "status"), ["due"]);
    shop.send().await;
    assert_eq!(names(&shop.list("cust-001").await, "status"), ["sent"]);
    assert_eq!(shop.files(), before);
    shop.send().await;
    assert_eq!(shop.files(), before);
}

#[tokio::test]
async fn a_sink_that_is_away_delays_and_a_refusal_ends() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let (sink, sender) = (&shop.sink, &shop.scripted);
    let away = || Undelivered::Away("connection refused".to_owned());
    sink.answers.lock().unwrap().extend([away(), away()]);
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    for _ in 0..2 {
        shop.send_with(sender).await;
        let listed = shop.list("cust-001").await;
        assert_eq!(names(&listed, "status"), ["due"]);
        assert!(names(&listed, "error")[0].contains("connection refused"));
    }
    shop.send_with(sender).await;
    let listed = shop.list("cust-001").await;
    assert_eq!(names(&listed, "status"), ["sent"]);
    assert_eq!(listed[0]["error"], Value::Null);

    let refused = Undelivered::Refused("no such mailbox".to_owned());
    sink.answers.lock().unwrap().push_back(refused);
    shop.handle("e2", &moved("o", Status::Dispatched)).await;
    for _ in 0..2 {
        shop.send_with(sender).await;
        let listed = shop.list("cust-001").await;
        assert_eq!(names(&listed, "status"), ["refused", "sent"]);
    }
    assert_eq!(sink.taken.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_attempt_that_failed_is_not_due_at_once() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let (sink, sender) = (&shop.sink, &shop.scripted);
    let away = Undelivered::Away("connection refused".to_owned());
    sink.answers.lock().unwrap().push_back(away);
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    let now = shop.now();
    shop.send_with(sender).await;
    assert_eq!(sender.send(now).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_resend_is_a_second_delivery_to_the_present_address() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    let path = "/api/v1/notifications/e1.email/resend";
    // It is due already.
    let (status, answer) = shop.ask(Method::POST, path, None).await;
    assert_eq!(
        (status, &answer["delivery"]),
        (StatusCode::ACCEPTED, &json!(1))
    );
    shop.send().await;
    let mut moved = user("cust-001", 1, "Eva");
    "new@customers.example".clone_into(&mut moved.email);
    shop.handle("u1", &moved).await;
    for _ in 0..2 {
        let (status, answer) = shop.ask(Method::POST, path, None).await;
        assert_eq!(
            (status, &answer["delivery"]),
            (StatusCode::ACCEPTED, &json!(2))
        );
    }
    shop.send().await;
    let files = shop.files();
    assert_eq!(files.len(), 2);
    let second = &files["e1.email.2.txt"];
    assert!(
        second.starts_with("To: new@customers.example\n"),
        "{second}"
    );
    let path = "/api/v1/notifications/e1.pigeon/resend";
    let (status, _) = shop.ask(Method::POST, path, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// The sender has read the row before the resend, and records after it.
#[tokio::test]
async fn a_resend_that_meets_the_sender_is_not_lost() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    let late = shop.sender.send(shop.now()).await.unwrap();
    shop.send().await;
    let path = "/api/v1/notifications/e1.email/resend";
    shop.ask(Method::POST, path, None).await;
    let mut tx = shop.db.begin().await.unwrap();
    shop.sender.record(&mut tx, late, 0).await.unwrap();
    shop.db.commit(tx).await.unwrap();
    assert_eq!(names(&shop.list("cust-001").await, "status"), ["due"]);
}

#[tokio::test]
async fn preferences_choose_channels_and_language() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let prefer = async |body| {
        shop.ask(Method::PUT, "/api/v1/preferences", Some(body))
            .await
    };
    let both = json!({"user": "cust-001", "channels": ["email", "sms"], "locale": "de"});
    assert_eq!(prefer(both.clone()).await, (StatusCode::OK, both));
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    // What identity says later does not undo the choice.
    shop.handle("u1", &user("cust-001", 1, "Eva")).await;
    shop.handle("e2", &moved("o", Status::Dispatched)).await;
    shop.send().await;
    let listed = shop.list("cust-001").await;
    assert_eq!(names(&listed, "channel"), ["email", "sms", "email", "sms"]);
    let subject = "Ihre Bestellung o ist unterwegs";
    assert_eq!(names(&listed, "subject")[..2], [subject, subject]);
    let sms = &shop.files()["e2.sms.1.txt"];
    assert_eq!(sms, &format!("To: +491701234567\n\n{subject}\n"));

    let mut landline = user("cust-002", 1, "Adam");
    landline.phone = None;
    landline.channel_prefs = vec![Channel::Sms];
    shop.handle("u2", &landline).await;
    shop.handle("e3", &confirmed("p", "cust-002")).await;
    assert_eq!(names(&shop.list("cust-002").await, "channel"), ["email"]);
    for (wrong, expected) in [
        (json!({"user": "cust-002", "channels": ["sms"]}), 422),
        (json!({"user": "cust-001", "channels": []}), 422),
        (
            json!({"user": "cust-001", "channels": ["email"], "locale": "../../x"}),
            422,
        ),
        (json!({"user": "cust-001", "channels": ["pigeon"]}), 422),
        (json!({"user": "nobody", "channels": ["email"]}), 404),
    ] {
        let (status, answer) = prefer(wrong).await;
        assert_eq!(status, expected, "{answer}");
    }
}

#[tokio::test]
async fn a_customer_sees_and_changes_only_what_is_theirs() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("e1", &confirmed("o", "cust-001")).await;
    shop.send().await;
    let ask = async |caller: &str, method, path: &str, body| {
        let caller = Caller::customer(caller);
        shop.ask_as(caller, method, path, body).await.0.as_u16()
    };
    let list = "/api/v1/notifications?user=cust-001";
    let (one, resend) = (
        "/api/v1/notifications/e1.email",
        "/api/v1/notifications/e1.email/resend",
    );
    let prefer = "/api/v1/preferences";
    let wanted = || Some(json!({"user": "cust-001", "channels": ["email"]}));
    for (caller, expected) in [
        ("cust-001", [200, 200, 202, 200]),
        ("cust-002", [403, 404, 404, 403]),
    ] {
        assert_eq!(ask(caller, Method::GET, list, None).await, expected[0]);
        assert_eq!(ask(caller, Method::GET, one, None).await, expected[1]);
        assert_eq!(ask(caller, Method::POST, resend, None).await, expected[2]);
        assert_eq!(
            ask(caller, Method::PUT, prefer, wanted()).await,
            expected[3]
        );
    }
    let own = "/api/v1/notifications";
    let caller = Caller::customer("cust-002");
    let (_, nothing) = shop.ask_as(caller, Method::GET, own, None).await;
    assert_eq!(nothing["notifications"], json!([]));
}

#[tokio::test]
async fn an_event_whose_id_is_a_path_writes_nowhere() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    shop.handle("../e1", &confirmed("o", "cust-001")).await;
    shop.send().await;
    assert_eq!(names(&shop.list("cust-001").await, "status"), ["refused"]);
    assert!(!shop.mails().with_file_name("e1.email.1.txt").exists());
}
