//! What a client may do wrong: a 4xx with a stable type, and nothing written.

use serde_json::{Value, json};

use crate::shop::{Reply, Shop, body, count, send};

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
    assert_eq!(
        problem["type"],
        format!("urn:commerce:problem:{slug}"),
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

#[test]
fn bad_requests_are_refused_with_a_stable_type_and_write_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let shop = Shop::open(directory.path());
    let lines = |lines: Value| with(|order| order["lines"] = lines);
    let cases = [
        (
            "no JSON",
            "{\"customer_id\": ".to_owned(),
            400,
            "malformed-json",
        ),
        ("nothing", String::new(), 400, "malformed-json"),
        ("another shape", "[1, 2]".to_owned(), 422, "invalid-request"),
        (
            "an unknown member",
            with(|order| order["price"] = json!(1)),
            422,
            "invalid-request",
        ),
        (
            "a quantity that is no number",
            lines(json!([{"sku": "SKU-001", "quantity": "2"}])),
            422,
            "invalid-request",
        ),
        (
            "a fraction of a piece",
            lines(json!([{"sku": "SKU-001", "quantity": 1.5}])),
            422,
            "invalid-request",
        ),
        (
            "a quantity beyond numbers",
            lines(json!([{"sku": "SKU-001", "quantity": 9_223_372_036_854_775_808_u64}])),
            422,
            "invalid-request",
        ),
        ("no lines", lines(json!([])), 422, "invalid-lines"),
        (
            "51 lines",
            lines(Value::Array(vec![
                json!({"sku": "SKU-001", "quantity": 1});
                51
            ])),
            422,
            "invalid-lines",
        ),
        (
            "nothing of something",
            lines(json!([{"sku": "SKU-001", "quantity": 0}])),
            422,
            "invalid-quantity",
        ),
        (
            "less than nothing",
            lines(json!([{"sku": "SKU-001", "quantity": -1}])),
            422,
            "invalid-quantity",
        ),
        (
            "more than money can pay",
            lines(json!([{"sku": "SKU-001", "quantity": i64::MAX}])),
            422,
            "amount-overflow",
        ),
        (
            "lines that sum up to too much",
            lines(
                json!([{"sku": "SKU-001", "quantity": 26_000_000_000_000_i64}, {"sku": "SKU-001", "quantity": 26_000_000_000_000_i64}]),
            ),
            422,
            "amount-overflow",
        ),
        (
            "an unknown product",
            lines(json!([{"sku": "SKU-999", "quantity": 1}])),
            422,
            "unknown-sku",
        ),
        (
            "an unknown currency",
            with(|order| order["currency"] = json!("XXX")),
            422,
            "unknown-currency",
        ),
        (
            "an unknown customer",
            with(|order| order["customer_id"] = json!("cust-999")),
            422,
            "unknown-customer",
        ),
        (
            "an unknown payment method",
            with(|order| order["payment_method"] = json!("cash")),
            422,
            "unknown-payment-method",
        ),
        (
            "no street",
            with(|order| order["ship_to"]["street"] = json!(" ")),
            422,
            "invalid-address",
        ),
        (
            "a country in words",
            with(|order| order["ship_to"]["country"] = json!("Germany")),
            422,
            "invalid-address",
        ),
        (
            "a body that is too large",
            with(|order| order["customer_id"] = json!("x".repeat(70_000))),
            413,
            "body-too-large",
        ),
    ];
    for (number, (what, body, status, slug)) in cases.iter().enumerate() {
        let reply = shop.order(&format!("key-{number}"), body);
        assert_problem(&reply, *status, slug, what);
    }

    let address = shop.address();
    let order = body(&[("SKU-001", 1)], "pm_ok");
    let post = |headers: &[(&str, &str)]| {
        send(address, "POST", "/api/v1/orders", headers, &order).unwrap()
    };
    assert_problem(&post(&[]), 400, "idempotency-key", "no key");
    assert_problem(
        &post(&[("idempotency-key", "")]),
        400,
        "idempotency-key",
        "an empty key",
    );
    let long = "k".repeat(256);
    assert_problem(
        &post(&[("idempotency-key", &long)]),
        400,
        "idempotency-key",
        "a long key",
    );
    assert_problem(
        &shop.get("/api/v1/nothing"),
        404,
        "not-found",
        "an unknown route",
    );
    assert_problem(
        &shop.get("/api/v1/orders/none"),
        404,
        "not-found",
        "an unknown order",
    );
    assert_problem(
        &shop.get("/api/v1/orders"),
        405,
        "method-not-allowed",
        "a wrong method",
    );
    assert_problem(
        &shop.get("/api/v1/stock/none"),
        404,
        "not-found",
        "an unknown SKU",
    );

    for table in [
        "SELECT count(*) FROM orders",
        "SELECT count(*) FROM idempotency_keys",
        "SELECT count(*) FROM emitted",
    ] {
        assert_eq!(count(shop.data(), "order.db", table), 0, "{table}");
    }

    // The key of a refused request is free; the key of an accepted one belongs to its request.
    assert_eq!(shop.order("key-0", &order).status, 202);
    let other = body(&[("SKU-001", 2)], "pm_ok");
    assert_problem(
        &shop.order("key-0", &other),
        422,
        "idempotency-key-reused",
        "another body under the key",
    );
    assert_eq!(
        count(shop.data(), "order.db", "SELECT count(*) FROM orders"),
        1
    );
    shop.stop();
}
