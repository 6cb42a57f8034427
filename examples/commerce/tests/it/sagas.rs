//! The runs of `PlaceOrder` from outside: what customers and operators see of them and do to them.

use std::path::Path;

use serde_json::Value;

use crate::{
    dead_letters::{RESERVATIONS, run},
    sandbox::{Sandbox, count, execute, text},
    shop::{Shop, assert_settles, body, send, verify, wait_for},
};

fn start(data: &Path, service: &str) -> Shop {
    let arguments = ["--traffic", "off", "--service", service];
    Shop::start(data, &arguments).unwrap()
}

/// The JSON that `commerce saga` with these words prints.
fn saga(data: &Path, words: &[&str]) -> Value {
    let words = [&["saga"], words, &["--json"]].concat();
    let (code, text) = run(data, &words);
    assert_eq!(code, 0, "{words:?}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{words:?}: {text}"))
}

#[test]
fn a_customer_cancels_an_order_until_it_has_ended() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(sandbox.path());
    // The saga waits for the payment provider.
    let order_id = shop.accept("k", &body(&[("SKU-001", 1)], "pm_silent"));
    let path = format!("/api/v1/orders/{order_id}/cancel");
    let cancel = || send(shop.address(), "POST", &path, &[], "").unwrap();
    let reply = cancel();
    assert_eq!(reply.status, 202, "{reply:?}");
    let order = shop.ended(&order_id);
    assert_eq!(order["status"], "cancelled", "{order:#}");
    assert!(order.to_string().contains("cancelled: "), "{order:#}");
    let reply = cancel();
    assert_eq!(reply.status, 409, "{reply:?}");
    assert_eq!(
        reply.json()["type"],
        "urn:commerce:problem:order.not_cancellable"
    );
    let words = ["cancel", &order_id, "--reason", "asked twice"];
    wait_for("the run to be undone", || {
        let outcome = saga(sandbox.path(), &words);
        (outcome["outcome"] == "was undone before").then_some(())
    });
    let unknown = "/api/v1/orders/none/cancel";
    let reply = send(shop.address(), "POST", unknown, &[], "").unwrap();
    assert_eq!(reply.status, 404, "{reply:?}");
    assert_settles(sandbox.path());
    shop.stop();
}

#[test]
fn an_order_shows_its_events_and_its_timeline() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(sandbox.path());
    let order_id = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    shop.ended(&order_id);
    let events = shop
        .get(&format!("/api/v1/orders/{order_id}/events"))
        .json();
    let kinds: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    let whole_way = [
        "Placed",
        "StockReserved",
        "PaymentAuthorized",
        "Confirmed",
        "Packed",
        "PaymentCaptured",
        "Dispatched",
        "Delivered",
    ];
    assert_eq!(kinds, whole_way);
    let path = format!("/api/v1/orders/{order_id}/timeline");
    let timeline = shop.get(&path).json();
    assert_eq!(timeline["run"]["status"], "completed", "{timeline:#}");
    let accept = [("accept", "text/plain")];
    let text = send(shop.address(), "GET", &path, &accept, "").unwrap();
    assert!(text.body.contains("CapturePayment done"), "{text:?}");
    assert_eq!(saga(sandbox.path(), &["show", &order_id]), timeline);
    shop.stop();
}

/// A reply is damaged before the order service reads it. Its run stands still, and no other.
#[test]
fn a_broken_run_is_named_until_an_operator_mends_it() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let order = start(data, "order");
    let broken = order.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    wait_for("the command to be in the log", || {
        (count(data, "broker", RESERVATIONS) == 1).then_some(())
    });
    order.stop();
    let inventory = start(data, "inventory");
    let replies = "SELECT count(*) FROM broker_records WHERE envelope ->> 'kind' = 'StockReserved'";
    wait_for("the reply to be in the log", || {
        (count(data, "broker", replies) == 1).then_some(())
    });
    inventory.stop();
    let payload = "SELECT CAST(payload AS TEXT) FROM broker_records WHERE envelope ->> 'kind' = 'StockReserved'";
    let result = text(data, "broker", payload);
    let damage = "UPDATE broker_records SET payload = CAST('{' AS BLOB) WHERE envelope ->> 'kind' = 'StockReserved'";
    assert_eq!(execute(data, "broker", damage), 1);

    let shop = Shop::open(data);
    let other = shop.accept("k2", &body(&[("SKU-001", 1)], "pm_ok"));
    assert_eq!(shop.ended(&other)["status"], "completed");
    let runs = saga(data, &["list", "--status", "broken"]);
    assert_eq!(runs[0]["key"], *broken, "{runs:#}");
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs:#}");
    let (code, verdict) = verify(data);
    assert_eq!(code, 1, "{verdict:#}");
    let named = verdict["invariants"][0]["offenders"].to_string();
    assert!(named.contains("is broken at ReserveStock"), "{named}");

    let skip = ["skip", &broken, "ReserveStock", "--result", &result];
    saga(
        data,
        &[&skip[..], &["--reason", "damaged in the log"]].concat(),
    );
    assert_eq!(shop.ended(&broken)["status"], "completed");
    let shown = saga(data, &["show", &broken]).to_string();
    assert!(shown.contains("damaged in the log"), "{shown}");
    assert_settles(data);
    shop.stop();
}
