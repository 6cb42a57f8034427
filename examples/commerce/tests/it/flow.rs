//! Orders from placement to end.

mod returns;

use std::thread;

use serde_json::Value;

use crate::{
    sandbox::{Sandbox, count, execute},
    shop::{Shop, assert_settles, body, one_answer, send, verify, wait_for},
};

fn history(order: &Value) -> Vec<&str> {
    let history = order["history"].as_array().unwrap();
    history
        .iter()
        .map(|entry| entry["status"].as_str().unwrap())
        .collect()
}

fn last_reason(order: &Value) -> &str {
    let history = order["history"].as_array().unwrap();
    history
        .iter()
        .find_map(|entry| entry["reason"].as_str())
        .unwrap()
}

#[test]
fn every_payment_method_ends_as_it_should() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let place =
        |method: &str| shop.accept(method, &body(&[("SKU-001", 2), ("SKU-002", 1)], method));
    let [ok, declined, timeout, late, flaky, action, expires, lapses] = [
        "pm_ok",
        "pm_declined",
        "pm_timeout",
        "pm_late",
        "pm_flaky",
        "pm_3ds",
        "pm_expires",
        "pm_lapses",
    ]
    .map(place);

    let whole_way = [
        "placed",
        "stock_reserved",
        "payment_authorized",
        "confirmed",
        "fulfilling",
        "captured",
        "dispatched",
        "completed",
    ];
    for order_id in [&ok, &late, &flaky, &expires] {
        let order = shop.ended(order_id);
        assert_eq!(history(&order), whole_way, "{order:#}");
    }
    for (order_id, code) in [
        (&declined, "declined"),
        (&timeout, "no_answer"),
        (&action, "requires_action"),
    ] {
        let order = shop.ended(order_id);
        assert_eq!(
            history(&order),
            ["placed", "stock_reserved", "cancelling", "cancelled"],
            "{order:#}"
        );
        assert_eq!(last_reason(&order), format!("payment_declined: {code}"));
    }

    let order = shop.ended(&lapses);
    let way = history(&order);
    assert_eq!(way[4..], ["fulfilling", "cancelling", "cancelled"]);
    assert_eq!(last_reason(&order), "payment_declined: auth_expired");

    let verdict = assert_settles(shop.data());
    assert!(verdict["running"].as_bool().unwrap());
    for row in verdict["invariants"].as_array().unwrap() {
        assert!(
            row["checked"].as_u64().unwrap() > 0,
            "checked over nothing: {row}"
        );
    }
    // `pm_late` is found by its key, so it is requested once; `pm_flaky` and `pm_timeout` are
    // requested three times.
    let asked = "SELECT CAST(sum(requested) AS BIGINT) FROM orders";
    assert_eq!(
        count(shop.data(), "psp", asked),
        1 + 1 + 3 + 1 + 3 + 1 + 1 + 1
    );
    let held = "SELECT count(*) FROM operations WHERE kind = 'authorize'";
    assert_eq!(count(shop.data(), "psp", held), 3 + 2);
    let renewed = "SELECT count(*) FROM operations WHERE kind = 'reauthorize'";
    assert_eq!(count(shop.data(), "psp", renewed), 1);
    assert_eq!(
        shop.get("/api/v1/stock/SKU-001").json()["on_hand"],
        1_000_000 - 4 * 2
    );

    let ledger = shop.get(&format!("/api/v1/payments/{ok}/ledger")).json();
    assert_eq!(ledger["entries"].as_array().unwrap().len(), 6, "{ledger:#}");
    assert_eq!(
        shop.get(&format!("/api/v1/payments/{late}")).json()["status"],
        "captured"
    );
    assert_eq!(
        shop.get(&format!("/api/v1/shipments/{ok}")).json()["status"],
        "delivered"
    );
    shop.stop();
}

#[test]
fn an_order_without_stock_is_cancelled_and_holds_nothing() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    // Each of the two lines of SKU-200 would fit, but their sum does not.
    let order_id = shop.accept(
        "k",
        &body(&[("SKU-200", 3), ("SKU-001", 1), ("SKU-200", 3)], "pm_ok"),
    );
    let order = shop.ended(&order_id);
    assert_eq!(history(&order), ["placed", "cancelling", "cancelled"]);
    assert_eq!(
        last_reason(&order),
        "out_of_stock: 6 of SKU-200 ordered, 5 available"
    );
    assert_settles(shop.data());
    assert_eq!(shop.get("/api/v1/stock/SKU-200").json()["available"], 5);
    assert_eq!(shop.get("/api/v1/stock/SKU-001").json()["reserved"], 0);
    shop.stop();
}

#[test]
fn many_customers_at_once_never_get_more_than_the_stock() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let orders: Vec<String> = thread::scope(|scope| {
        let customers: Vec<_> = (0..24)
            .map(|number| {
                let shop = &shop;
                scope.spawn(move || {
                    shop.accept(&format!("k{number}"), &body(&[("SKU-199", 1)], "pm_ok"))
                })
            })
            .collect();
        customers
            .into_iter()
            .map(|customer| customer.join().unwrap())
            .collect()
    });
    let ends: Vec<Value> = orders.iter().map(|order_id| shop.ended(order_id)).collect();
    let completed = ends
        .iter()
        .filter(|order| order["status"] == "completed")
        .count();
    assert_eq!(completed, 10, "one order per piece");
    assert_settles(shop.data());
    let stock = shop.get("/api/v1/stock/SKU-199").json();
    assert_eq!(
        (&stock["on_hand"], &stock["reserved"]),
        (&0.into(), &0.into())
    );
    shop.stop();
}

#[test]
fn the_same_request_many_times_is_one_order_and_one_answer() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let body = body(&[("SKU-003", 1)], "pm_ok");
    let replies: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| shop.order("same", &body)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let order_id = one_answer(&replies);
    assert_eq!(
        count(shop.data(), "order", "SELECT count(*) FROM order_view"),
        1
    );

    // The answer is the same after a restart, even if the spacing of the request differs.
    let data = shop.data().to_owned();
    shop.ended(&order_id);
    shop.stop();
    let shop = Shop::open(&data);
    let again = shop.order("same", &body.replace(':', " : "));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let first = replies
        .into_iter()
        .find(|reply| reply.status == 202 && !reply.headers.contains_key("idempotent-replayed"));
    assert_eq!(one_answer(&[first.unwrap(), again]), order_id);
    assert_settles(&data);
    shop.stop();
}

#[test]
fn services_in_processes_of_their_own_share_the_data() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let [order, _inventory, _payment, shipping] = ["order", "inventory", "payment", "shipping"]
        .map(|name| {
            Shop::start(directory.path(), &["--traffic", "off", "--service", name]).unwrap()
        });
    let order_id = order.accept("k", &body(&[("SKU-001", 1)], "pm_late"));
    assert_eq!(order.ended(&order_id)["status"], "completed");
    assert_eq!(order.get("/api/v1/stock/SKU-001").status, 404);
    assert_eq!(
        shipping
            .get(&format!("/api/v1/shipments/{order_id}"))
            .json()["status"],
        "delivered"
    );
    assert_settles(directory.path());
}

/// Stock is adjusted and money is given back; both are sound, and more money than was requested is
/// noticed.
#[test]
fn what_operators_move_is_checked() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let data = sandbox.path();
    let shop = Shop::open(data);
    let order_id = shop.accept("k", &body(&[("SKU-001", 2)], "pm_ok"));
    assert_eq!(shop.ended(&order_id)["status"], "completed");
    let act = |path: &str, body: &str| {
        let headers = [("idempotency-key", "act"), ("x-operator", "ada")];
        send(shop.address(), "POST", path, &headers, body).unwrap()
    };
    let adjusted = act("/api/v1/stock/SKU-001/adjust", r#"{"quantity":7}"#);
    assert!(adjusted.status < 300, "{adjusted:?}");
    let refunds = format!("/api/v1/payments/{order_id}/refunds");
    let refund = act(&refunds, r#"{"amount_minor":100,"reason":"a scratch"}"#);
    assert_eq!(refund.status, 202, "{refund:?}");
    let paid = format!("/api/v1/payments/{order_id}");
    wait_for("the money to be given back", || {
        let refunds = shop.get(&paid).json()["refunds"].clone();
        (refunds[0]["status"] == "refunded").then_some(())
    });
    assert_settles(data);
    shop.stop();
    let damage = "UPDATE refunds SET amount_minor = amount_minor + 1";
    assert_eq!(execute(data, "payment", damage), 1);
    let (code, verdict) = verify(data);
    assert_eq!(code, 1, "{verdict:#}");
    assert!(verdict.to_string().contains("instead of"), "{verdict:#}");
}
