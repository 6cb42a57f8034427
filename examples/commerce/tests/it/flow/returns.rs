//! What comes back: parcels that nobody took, and goods that a customer returns.

use std::{path::Path, time::SystemTime};

use commerce_chassis::{WebhookSecret, WebhookSecrets, rfc3339};
use serde_json::{Value, json};

use super::{history, last_reason};
use crate::{
    sandbox::{Sandbox, execute, keep, put_back},
    shop::{Reply, Shop, assert_holds, assert_settles, body, send, verify, wait_for},
};

/// The postcode to which the simulated carrier carries nothing by itself.
const BY_HAND: &str = "99999";

/// An order whose parcel waits for scans of ours.
fn dispatched(shop: &Shop) -> String {
    let mut order: Value = serde_json::from_str(&body(&[("SKU-001", 2)], "pm_ok")).unwrap();
    order["ship_to"]["postcode"] = BY_HAND.into();
    let order_id = shop.accept("returned", &order.to_string());
    let path = format!("/api/v1/orders/{order_id}");
    wait_for("the parcel to leave", || {
        (shop.get(&path).json()["status"] == "dispatched").then_some(())
    });
    order_id
}

/// Tells where the parcel of an order is, as the carrier does.
fn scan(shop: &Shop, order_id: &str, status: &str) -> Reply {
    let shipment = shop.get(&format!("/api/v1/shipments/{order_id}")).json();
    let now = SystemTime::now();
    let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let at = rfc3339(i64::try_from(micros.as_micros()).unwrap());
    let body = json!({"tracking_no": shipment["tracking_no"], "status": status, "occurred_at": at});
    let body = body.to_string();
    let secret = WebhookSecret::parse(WebhookSecrets::DEVELOPMENT_CARRIER).unwrap();
    let signed = secret.sign(&format!("{order_id}-{status}"), now, body.as_bytes());
    let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers: Vec<(String, String)> = signed.iter().map(header).collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, it)| (&**name, &**it)).collect();
    let path = "/api/v1/webhooks/carrier";
    let reply = send(shop.address(), "POST", path, &headers, &body).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

/// An operator had given some of the money back; the rest follows when the parcel is back.
#[test]
fn a_parcel_that_comes_back_is_refunded_restocked_and_ends_its_order() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let shop = Shop::open(data);
    let order_id = dispatched(&shop);
    let paid = format!("/api/v1/payments/{order_id}");
    let headers = [("idempotency-key", "act"), ("x-operator", "ada")];
    let refund = r#"{"amount_minor":100,"reason":"it is late"}"#;
    let refunds = format!("{paid}/refunds");
    let refund = send(shop.address(), "POST", &refunds, &headers, refund).unwrap();
    assert_eq!(refund.status, 202, "{refund:?}");
    wait_for("the operator's refund", || {
        (shop.get(&paid).json()["status"] == "partially_refunded").then_some(())
    });

    for status in ["delivery_failed", "returned", "returned"] {
        scan(&shop, &order_id, status);
    }
    let order = shop.ended(&order_id);
    assert_eq!(history(&order)[6..], ["dispatched", "completed"]);
    assert_eq!(last_reason(&order), "returned: the parcel came back");
    let total = order["total_minor"].as_i64().unwrap();
    let returned = &order["returns"][0];
    assert_eq!(returned["status"], "refunded", "{order:#}");
    assert_eq!(returned["refunded_minor"], total - 100);
    assert_settles(data);
    assert_eq!(shop.get(&paid).json()["status"], "refunded");
    let stock = shop.get("/api/v1/stock/SKU-001").json();
    assert_eq!(stock["on_hand"], 1_000_000);
    shop.stop();
    assert_holds(data);

    assert_damage_is_named(data, &order_id);
}

/// Whatever was given back for a return is in both books.
fn assert_damage_is_named(data: &Path, order_id: &str) {
    let another = "UPDATE eventstore_events SET payload = replace(payload, '\"amount\":', '\"amount\":1') WHERE kind = 'ReturnRefunded'";
    let none = "UPDATE eventstore_events SET kind = 'Dispatched' WHERE kind = 'ReturnRefunded'";
    for (sql, word) in [(another, "instead of"), (none, "was never given back")] {
        keep(data, "order");
        assert_eq!(execute(data, "order", sql), 1, "{sql}");
        let (code, verdict) = verify(data);
        assert_eq!(code, 1, "{verdict:#}");
        let money = &verdict["invariants"][1];
        assert_eq!(money["id"], "I2");
        let offenders = money["offenders"].to_string();
        let is_named = offenders.contains(word) && offenders.contains(order_id);
        assert!(is_named, "{offenders}");
        put_back(data, "order");
    }
    assert_holds(data);
}

#[test]
fn a_customer_returns_goods_once_per_key_and_gets_the_money() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let shop = Shop::open(data);
    let order_id = shop.accept("k", &body(&[("SKU-001", 3), ("SKU-002", 1)], "pm_ok"));
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let path = format!("/api/v1/orders/{order_id}");
    let ask = |key: &str, quantity: i64| {
        let lines = json!([{"sku": "SKU-001", "quantity": quantity}]);
        let body = json!({ "lines": lines }).to_string();
        let headers = [("idempotency-key", key)];
        let returns = format!("{path}/returns");
        send(shop.address(), "POST", &returns, &headers, &body).unwrap()
    };
    let first = ask("first", 2);
    assert_eq!(first.status, 202, "{first:?}");
    let again = ask("first", 2);
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(ask("second", 2).status, 409);
    let refunded = |count: usize| {
        wait_for("the money of a return", || {
            let order = shop.get(&path).json();
            let returns = order["returns"].as_array().unwrap().clone();
            let done = returns.iter().filter(|it| it["status"] == "refunded");
            (done.count() == count).then_some(returns)
        })
    };
    let returns = refunded(1);
    assert_eq!(returns[0]["refunded_minor"], first.json()["amount_minor"]);
    assert_eq!(ask("second", 1).status, 202);
    let returns = refunded(2);
    let sum: i64 = returns
        .iter()
        .map(|it| it["refunded_minor"].as_i64().unwrap())
        .sum();
    let paid = shop.get(&format!("/api/v1/payments/{order_id}")).json();
    assert_eq!(
        (&paid["status"], &paid["refunded_minor"]),
        (&json!("partially_refunded"), &json!(sum))
    );
    assert_settles(data);
    shop.stop();
    let damage = "UPDATE refunds SET return_id = NULL WHERE amount_minor = (SELECT min(amount_minor) FROM refunds)";
    assert_eq!(execute(data, "payment", damage), 1);
    let (code, verdict) = verify(data);
    let money = verdict["invariants"][1]["offenders"].to_string();
    assert_eq!(code, 1, "{verdict:#}");
    assert!(
        money.contains("instead of") && money.contains(&order_id),
        "{money}"
    );
}
