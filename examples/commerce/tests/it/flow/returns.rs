//! What comes back: parcels that nobody took.

use std::time::SystemTime;

use commerce_chassis::{WebhookSecret, WebhookSecrets, rfc3339};
use serde_json::{Value, json};

use super::{history, last_reason};
use crate::{
    sandbox::{Sandbox, execute},
    shop::{Reply, Shop, assert_holds, body, send, verify, wait_for},
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
    assert_holds(data, 30);
    assert_eq!(shop.get(&paid).json()["status"], "refunded");
    let stock = shop.get("/api/v1/stock/SKU-001").json();
    assert_eq!(stock["on_hand"], 1_000_000);
    shop.stop();
    assert_holds(data, 0);

    // Whatever was given back for a return is in both books.
    let damages = [
        (
            "eventstore_events",
            "order",
            "UPDATE eventstore_events SET payload = replace(payload, '\"amount\":', '\"amount\":1') WHERE kind = 'ReturnRefunded'",
            "instead of",
        ),
        (
            "eventstore_events",
            "order",
            "UPDATE eventstore_events SET kind = 'Dispatched' WHERE kind = 'ReturnRefunded'",
            "was never given back",
        ),
    ];
    for (what, database, sql, word) in damages {
        crate::sandbox::keep(data, database);
        assert_eq!(execute(data, database, sql), 1, "{what}");
        let (code, verdict) = verify(data, 0);
        assert_eq!(code, 1, "{verdict:#}");
        let money = &verdict["invariants"][1];
        assert_eq!(money["id"], "I2");
        let offenders = money["offenders"].to_string();
        assert!(
            offenders.contains(word) && offenders.contains(&order_id),
            "{offenders}"
        );
        crate::sandbox::put_back(data, database);
    }
    assert_holds(data, 0);
}
