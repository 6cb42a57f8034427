//! What passes the gateway, and what does not.

mod breaker;
mod replicas;
mod shop;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use commerce_chassis::{Access, Claims, SigningKey};
use commerce_contracts::Role;
use serde_json::json;

use self::shop::{NOW, Shop, ask};

fn token(user: &str, role: Role) -> String {
    let lifetime = Duration::from_secs(60);
    let claims = Claims::new(user, vec![role], "session", NOW, lifetime);
    shop::key().sign(&claims).unwrap()
}

#[tokio::test]
async fn a_route_asks_for_the_token_and_the_role_that_its_row_names() {
    let shop = Shop::open(Access::Required);
    let customer = token("cust-001", Role::Customer);
    let operator = token("operator", Role::Operator);
    let ended = Claims::new(
        "cust-001",
        vec![Role::Customer],
        "s",
        Duration::ZERO,
        Duration::ZERO,
    );
    let ended = shop::key().sign(&ended).unwrap();
    let forged = SigningKey::new("key", &[9; 32]);
    let claims = Claims::new("x", vec![Role::Operator], "s", NOW, Duration::from_secs(60));
    let forged = forged.sign(&claims).unwrap();
    let saga = "/api/v1/sagas/r-1";
    for (path, token, status, slug) in [
        ("/api/v1/users/me", None, 401, "token-missing"),
        ("/api/v1/users/me", Some(&ended), 401, "token-expired"),
        ("/api/v1/users/me", Some(&forged), 401, "token-invalid"),
        ("/api/v1/users/me", Some(&customer), 200, ""),
        (saga, None, 401, "token-missing"),
        (saga, Some(&customer), 403, "forbidden"),
        (saga, Some(&ended), 401, "token-expired"),
        (saga, Some(&operator), 200, ""),
        (
            "/api/v1/dlq/order/groups",
            Some(&customer),
            403,
            "forbidden",
        ),
        ("/api/v1/dlq/order/groups", Some(&operator), 200, ""),
        // Public: nobody is asked, and an old token does no harm.
        ("/api/v1/stock/SKU-001", None, 200, ""),
        ("/api/v1/stock/SKU-001", Some(&ended), 200, ""),
    ] {
        let mut request = ask(Method::GET, path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = shop.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {slug}: {answer:?}");
        if status >= 400 {
            assert_eq!(answer.slug(), slug, "{path}");
        }
        let challenge = answer.headers.contains_key("www-authenticate");
        assert_eq!(challenge, status == 401, "{path}");
    }
}

#[tokio::test]
async fn a_service_learns_who_calls_and_cannot_be_told_by_a_header() {
    let shop = Shop::open(Access::Required);
    let token = token("cust-007", Role::Customer);
    let request = ask(Method::GET, "/api/v1/users/me")
        .header("authorization", format!("bearer {token}"))
        .header("x-user", "operator");
    let answer = shop.send(request).await;
    assert_eq!(answer.body["caller"], "cust-007");
    assert_eq!(answer.body["operator"], false);
}

#[tokio::test]
async fn an_open_shop_lets_anybody_do_anything_but_believes_no_false_token() {
    let shop = Shop::open(Access::Open);
    let answer = shop.send(ask(Method::GET, "/api/v1/sagas/r-1")).await;
    assert_eq!(
        (answer.status, &answer.body["operator"]),
        (StatusCode::OK, &json!(true))
    );
    let customer = format!("Bearer {}", token("cust-001", Role::Customer));
    for (token, status) in [("Bearer nonsense", 401), (&*customer, 403)] {
        let request = ask(Method::GET, "/api/v1/sagas/r-1").header("authorization", token);
        assert_eq!(shop.send(request).await.status.as_u16(), status, "{token}");
    }
}

#[tokio::test]
async fn another_site_changes_nothing() {
    let shop = Shop::open(Access::Open);
    let post = || ask(Method::POST, "/api/v1/orders").header("host", "shop.example");
    for (request, status) in [
        (post(), 200),
        (post().header("origin", "http://shop.example"), 200),
        (post().header("origin", "http://evil.example"), 403),
        (post().header("sec-fetch-site", "cross-site"), 403),
    ] {
        let answer = shop.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        if status == 403 {
            assert_eq!(answer.slug(), "cross-site");
        }
    }
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let shop = Shop::with_rate(1);
    let request = || ask(Method::GET, "/api/v1/stock/SKU-001");
    for _ in 0..2 {
        assert_eq!(shop.send(request()).await.status, StatusCode::OK);
    }
    // A busy machine may take a second for the first two.
    let mut answer = shop.send(request()).await;
    for _ in 0..1_000 {
        if answer.status != StatusCode::OK {
            break;
        }
        answer = shop.send(request()).await;
    }
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (answer.slug(), &answer.headers["retry-after"]),
        ("too-many-requests", &"1".parse().unwrap())
    );
}

#[tokio::test]
async fn a_panic_is_a_problem_and_a_request_keeps_its_ids() {
    let shop = Shop::open(Access::Open);
    let answer = shop.send(ask(Method::GET, "/api/v1/shipments/panic")).await;
    assert_eq!((answer.status.as_u16(), answer.slug()), (500, "internal"));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = ask(Method::GET, "/api/v1/shipments/o-1").header("traceparent", trace);
    let answer = shop.send(request.header("x-request-id", "mine-1")).await;
    assert_eq!(answer.body["traceparent"], trace);
    assert_eq!(
        (&answer.headers["x-request-id"], &answer.body["request_id"]),
        (&"mine-1".parse().unwrap(), &json!("mine-1"))
    );
    let answer = shop.send(ask(Method::GET, "/api/v1/shipments/o-1")).await;
    let trace = answer.body["traceparent"].as_str().unwrap().len();
    assert_eq!((trace, answer.headers["x-request-id"].len()), (55, 32));
}

#[tokio::test]
async fn unknown_routes_versions_and_methods_are_told_apart() {
    let shop = Shop::open(Access::Open);
    let answer = shop.send(ask(Method::DELETE, "/api/v1/orders")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    for (path, is_version) in [
        ("/api/v2/orders", true),
        ("/api/v10/orders", true),
        ("/api/v1/nothing", false),
        ("/api/vx/orders", false),
        ("/api/orders", false),
        ("/", false),
    ] {
        let problem = crate::unknown_version(path);
        assert_eq!(problem.is_some(), is_version, "{path}");
    }
}
