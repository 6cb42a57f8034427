//! Invalid requests: each gets a 4xx with a stable type, and writes nothing.

use serde_json::{Value, json};

use crate::{
    sandbox::{Sandbox, count},
    shop::{Reply, Shop, body, send},
};

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut order: Value = serde_json::from_str(&body(&[("SKU-001", 1)], "pm_ok")).unwrap();
    change(&mut order);
    order.to_string()
}

fn assert_problem(reply: &Reply, status: u16, slug: &str, what: &str) {
    assert_eq!(reply.status, status, "{what}: {reply:?}");
    assert_eq!(
        reply.headers["content-type"], "application/problem+json",
        "{what}"
    );
    let problem = reply.json();
    let kind = problem["type"].as_str().unwrap();
    assert!(
        kind.ends_with(&format!(":problem:{slug}")),
        "{what}: {problem}"
    );
    assert_eq!(problem["status"], status, "{what}");
    for member in ["title", "detail"] {
        assert!(
            !problem[member].as_str().unwrap().is_empty(),
            "{what}: {problem}"
        );
    }
}

/// Name, body, and the expected status and problem.
type Case = (&'static str, String, u16, &'static str);

/// Asserts that each request is refused as expected, and that nothing was written.
fn assert_refused(cases: impl IntoIterator<Item = Case>) {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    for (what, body, status, slug) in cases {
        assert_problem(
            &shop.order(&what.replace(' ', "-"), &body),
            status,
            slug,
            what,
        );
    }
    assert_nothing_written(&shop);
    shop.stop();
}

fn assert_nothing_written(shop: &Shop) {
    for table in [
        "SELECT count(*) FROM order_view",
        "SELECT count(*) FROM idempotency_records",
        "SELECT count(*) FROM eventstore_events",
        "SELECT count(*) FROM saga_runs",
    ] {
        assert_eq!(count(shop.data(), "order", table), 0, "{table}");
    }
}

#[test]
fn a_body_that_is_not_an_order_is_refused() {
    let (unreadable, shape) = ("malformed-body", "invalid-request");
    let huge = with(|order| order["customer_id"] = json!("x".repeat(70_000)));
    let priced = with(|order| order["price"] = json!(1));
    assert_refused([
        ("no JSON", "{\"customer_id\": ".into(), 400, unreadable),
        ("cut off", "{\"a\":".into(), 400, unreadable),
        ("nothing", String::new(), 400, unreadable),
        ("another shape", "[1, 2]".into(), 422, shape),
        ("an unknown member", priced, 422, shape),
        ("too large", huge, 413, "body-too-large"),
    ]);
}

#[test]
fn invalid_lines_are_refused() {
    let lines = |lines: Value| with(|order| order["lines"] = lines);
    let quantity = |quantity: Value| lines(json!([{"sku": "SKU-001", "quantity": quantity}]));
    let many = lines(json!(vec![json!({"sku": "SKU-001", "quantity": 1}); 51]));
    let unknown = lines(json!([{"sku": "SKU-999", "quantity": 1}]));
    let unnameable = lines(json!([{"sku": "SKU-\0", "quantity": 1}]));
    let half = json!({"sku": "SKU-001", "quantity": 26_000_000_000_000_i64});
    let beyond = json!(9_223_372_036_854_775_808_u64);
    let (shape, number) = ("invalid-request", "invalid-quantity");
    assert_refused([
        ("no lines", lines(json!([])), 422, "invalid-lines"),
        ("51 lines", many, 422, "invalid-lines"),
        ("a quantity in words", quantity(json!("2")), 422, shape),
        ("a fraction of a piece", quantity(json!(1.5)), 422, shape),
        ("a quantity beyond numbers", quantity(beyond), 422, shape),
        ("nothing of something", quantity(json!(0)), 422, number),
        ("less than nothing", quantity(json!(-1)), 422, number),
        (
            "more than money can pay",
            quantity(json!(i64::MAX)),
            422,
            "amount-overflow",
        ),
        (
            "a sum beyond money",
            lines(json!([half, half])),
            422,
            "amount-overflow",
        ),
        ("an unknown product", unknown, 422, "unknown-sku"),
        (
            "a product that no table can name",
            unnameable,
            422,
            "unknown-sku",
        ),
    ]);
}

#[test]
fn unknown_names_in_an_order_are_refused() {
    let set = |member: &str, value: &str| with(|order| order[member] = json!(value));
    let address = |member: &str, value: &str| with(|order| order["ship_to"][member] = json!(value));
    assert_refused([
        (
            "an unknown currency",
            set("currency", "ZZZ"),
            422,
            "unknown-currency",
        ),
        (
            "an unknown customer",
            set("customer_id", "cust-999"),
            422,
            "unknown-customer",
        ),
        (
            "an unknown payment method",
            set("payment_method", "cash"),
            422,
            "unknown-payment-method",
        ),
        (
            "a customer that no table can name",
            set("customer_id", "cust-001\0"),
            422,
            "unknown-customer",
        ),
        ("no street", address("street", " "), 422, "invalid-address"),
        (
            "a name of NUL",
            address("name", "\0"),
            422,
            "invalid-address",
        ),
        (
            "a country in words",
            address("country", "Germany"),
            422,
            "invalid-address",
        ),
    ]);
}

#[test]
fn an_order_needs_its_own_key() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let address = shop.address();
    let order = body(&[("SKU-001", 1)], "pm_ok");
    let post = |headers: &[(&str, &str)]| {
        send(address, "POST", "/api/v1/orders", headers, &order).unwrap()
    };
    let long = "k".repeat(256);
    let (missing, invalid) = ("idempotency-key-missing", "idempotency-key-invalid");
    for (headers, slug, what) in [
        (&[][..], missing, "no key"),
        (&[("idempotency-key", "")], invalid, "an empty key"),
        (&[("idempotency-key", &*long)], invalid, "a long key"),
        (
            &[("idempotency-key", "a"), ("idempotency-key", "b")],
            invalid,
            "two keys",
        ),
    ] {
        assert_problem(&post(headers), 400, slug, what);
    }
    assert_nothing_written(&shop);

    // A refused request does not use up its key; an accepted one does.
    assert_eq!(shop.order("key", "{}").status, 422);
    assert_eq!(shop.order("key", &order).status, 202);
    assert_problem(
        &shop.order("key", &body(&[("SKU-001", 2)], "pm_ok")),
        422,
        "idempotency-key-reused",
        "another body under the key",
    );
    let orders = "SELECT count(*) FROM order_view";
    assert_eq!(count(shop.data(), "order", orders), 1);
    shop.stop();
}

#[test]
fn unknown_names_and_routes_are_not_found() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    for (path, what) in [
        ("/api/v1/nothing", "an unknown route"),
        ("/api/v1/orders/none", "an unknown order"),
        ("/api/v1/orders/%ff", "a name that is not UTF-8"),
        ("/api/v1/payments/%ff/ledger", "a name that is not UTF-8"),
        ("/api/v1/stock/none", "an unknown SKU"),
        ("/api/v1/shipments/%00", "a name that no table can hold"),
    ] {
        assert_problem(&shop.get(path), 404, "not-found", what);
    }
    let address = shop.address();
    assert_problem(
        &send(address, "DELETE", "/api/v1/orders", &[], "").unwrap(),
        405,
        "method-not-allowed",
        "a wrong method",
    );
    shop.stop();
}
