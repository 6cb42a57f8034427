//! Who sees which orders, and lists of them.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use commerce_chassis::Caller;
use serde_json::{Value, json};

use super::fixture::{Fixture, wanted};

async fn ask(shop: &Fixture, caller: Caller, method: Method, path: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    let (status, body) = shop.send_of(caller, request).await;
    (status, serde_json::from_str(&body).unwrap())
}

fn ids(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    let ids = items.iter().map(|item| item["order_id"].as_str().unwrap());
    ids.collect()
}

#[tokio::test]
async fn customers_see_and_cancel_their_own_orders_only() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let order = shop.place().await;
    let (owner, other) = (Caller::customer("cust-001"), Caller::customer("cust-002"));
    for part in ["", "/events", "/timeline"] {
        let path = format!("/api/v1/orders/{order}{part}");
        for (caller, status) in [
            (&other, StatusCode::NOT_FOUND),
            (&owner, StatusCode::OK),
            (&Caller::operator("op"), StatusCode::OK),
        ] {
            let answer = ask(&shop, caller.clone(), Method::GET, &path).await;
            assert_eq!(answer.0, status, "{path} {caller:?}");
        }
    }
    let list = "/api/v1/orders";
    let (_, own) = ask(&shop, owner.clone(), Method::GET, list).await;
    assert_eq!(ids(&own), [&*order]);
    let (_, none) = ask(&shop, other.clone(), Method::GET, list).await;
    assert_eq!(ids(&none), [""; 0]);
    let foreign = format!("{list}?customer_id=cust-001");
    let (status, _) = ask(&shop, other.clone(), Method::GET, &foreign).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let cancel = format!("/api/v1/orders/{order}/cancel");
    let (status, _) = ask(&shop, other, Method::POST, &cancel).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = ask(&shop, owner, Method::POST, &cancel).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn customers_order_for_themselves() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    // The order service has not heard of this customer; the token says that there is one.
    let new = Caller::customer("cust-new");
    let mut body = wanted("SKU-001");
    let (status, answer) = shop.ask_for(new.clone(), "k", &body).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    body.as_object_mut().unwrap().remove("customer_id");
    let first = shop.ask_for(new.clone(), "k", &body).await;
    assert_eq!(first.0, StatusCode::ACCEPTED, "{first:?}");
    body["customer_id"] = json!("cust-new");
    assert_eq!(shop.ask_for(new, "k", &body).await, first);
    let (status, answer) = shop.ask_for(Caller::anybody(), "k", &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "the same request: {answer}");
    let (status, answer) = shop.ask_for(Caller::anybody(), "k2", &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
}

#[tokio::test]
async fn pages_hold_every_order_once_the_newest_first() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let mut placed = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        let (_, answer) = shop.ask(key).await;
        placed.push(answer["order_id"].as_str().unwrap().to_owned());
    }
    placed.reverse();
    for filter in ["", "&customer_id=cust-001", "&status=placed"] {
        let first = format!("/api/v1/orders?limit=2{filter}");
        let (mut path, mut seen) = (first.clone(), Vec::new());
        loop {
            let page = shop.get(&path).await;
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else {
                break;
            };
            path = format!("{first}&page={next}");
        }
        assert_eq!(seen, placed, "{filter}");
    }
    let none = shop.get("/api/v1/orders?status=completed").await;
    assert_eq!(ids(&none), [""; 0]);
    let wrong = ["?status=lost", "?limit=0", "?limit=101", "?page=%00"];
    for query in wrong {
        let path = format!("/api/v1/orders{query}");
        let (status, _) = ask(&shop, Caller::anybody(), Method::GET, &path).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
}
