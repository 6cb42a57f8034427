//! The pages over an API that answers from memory.
#![expect(clippy::unwrap_used, reason = "test suite: it fails loudly")]

mod shop;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use shop::{Shop, page, read};

#[tokio::test]
async fn an_order_is_shown_though_no_other_service_is_there() {
    let (status, page) = Shop::new().get("/orders/o-1").await;
    assert_eq!(status, StatusCode::OK);
    for part in [
        "summary", "lanes", "money", "parcel", "mails", "stock", "journal",
    ] {
        assert!(
            page.contains(&format!("id=\"{part}\"")),
            "{part} is missing"
        );
    }
    assert!(page.contains("12.99 EUR"), "{page}");
    assert!(page.contains("http-equiv=\"refresh\""), "it can change");
    let (status, _) = Shop::new().get("/orders/nobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_customers_write_is_text() {
    let (_, page) = Shop::new().get("/orders/o-1").await;
    assert!(page.contains("&lt;script&gt;"), "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
}

#[tokio::test]
async fn pages_load_nothing_but_our_own_files() {
    for path in ["/", "/tour", "/login", "/ops/invariants", "/orders/nobody"] {
        let request = page(path).body(Body::empty()).unwrap();
        let response = Shop::new().pages().oneshot(request).await.unwrap();
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let (_, page) = read(response).await;
        assert!(!page.contains("style=\""), "{path} has a style of its own");
        assert!(!page.contains("<script>"), "{path} has a script of its own");
        assert!(
            !page.contains("http://") && !page.contains("https://"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn no_answer_is_not_taken_for_everything_handled() {
    let (status, page) = Shop::new().get("/ops/dead-letters").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("No service answered"), "{page}");
    assert!(!page.contains("has handled everything"), "{page}");
    let mut shop = Shop::new();
    shop.services = &["inventory"];
    let (_, page) = shop.get("/ops/dead-letters").await;
    assert!(page.contains("has handled everything"), "{page}");
    assert!(!page.contains("No service answered"), "{page}");
}

#[tokio::test]
async fn pages_name_the_command_that_checks_the_invariants() {
    for path in ["/tour", "/ops/invariants"] {
        let (_, page) = Shop::new().get(path).await;
        assert!(page.contains("commerce verify --data DIR"), "{page}");
    }
}

#[tokio::test]
async fn programs_get_the_index_and_people_the_shop() {
    let (_, page) = Shop::new().get("/").await;
    assert!(page.contains("Buy with a declined card"), "{page}");
    for accept in ["application/json", "*/*"] {
        let request = Request::builder().uri("/").header(header::ACCEPT, accept);
        let request = request.body(Body::empty()).unwrap();
        let response = Shop::new().pages().oneshot(request).await.unwrap();
        assert_eq!(read(response).await.1, "the index of programs", "{accept}");
    }
}

#[tokio::test]
async fn a_form_buys_once_by_its_key_and_leads_to_the_order() {
    let shop = Shop::new();
    let form = "key=k-1&sku=SKU-001&quantity=2&customer=ada&payment_method=pm_ok";
    let response = shop.post("/buy", form, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/orders/o-1");
    let sent = shop.sent.lock().unwrap();
    let (headers, order) = &sent[0];
    assert_eq!(headers["idempotency-key"], "k-1");
    assert_eq!(order["customer_id"], "ada");
    assert_eq!(order["lines"], json!([{"sku": "SKU-001", "quantity": 2}]));
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let shop = Shop::new();
    let form = "key=k&sku=SKU-001&payment_method=pm_ok";
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "http://other.example"),
    ] {
        let response = shop.post("/buy", form, &[foreign]).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{foreign:?}");
    }
    assert!(shop.sent.lock().unwrap().is_empty());
    let own = ("origin", "http://shop.example");
    let response = shop.post("/buy", form, &[own]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_act_needs_a_name_a_reason_and_a_confirmation() {
    let shop = Shop::new();
    let act = "/ops/sagas/r-1/cancel";
    for form in [
        "operator=+&reason=stuck&sure=yes",
        "operator=ada&reason=&sure=yes",
        "operator=ada&reason=stuck",
    ] {
        let response = shop.post(act, form, &[]).await;
        assert_eq!(
            response.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{form}"
        );
    }
    assert!(shop.sent.lock().unwrap().is_empty());
    let response = shop
        .post(act, "operator=ada&reason=stuck&sure=yes", &[])
        .await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let sent = shop.sent.lock().unwrap();
    assert_eq!(sent[0].0["x-operator"], "ada");
    assert_eq!(sent[0].1, json!({"reason": "stuck"}));
}

fn cookies(response: &Response) -> Vec<&str> {
    let cookies = response.headers().get_all(header::SET_COOKIE).iter();
    cookies.map(|cookie| cookie.to_str().unwrap()).collect()
}

#[tokio::test]
async fn an_access_cookie_ends_with_its_token() {
    let shop = Shop::new();
    let form = "email=a%40example.com&password=p";
    let response = shop.post("/login", form, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let access = cookies(&response)[0];
    assert!(access.starts_with("access=t-1;"), "{access}");
    assert!(access.ends_with("; Max-Age=900"), "{access}");
}

#[tokio::test]
async fn an_access_cookie_that_is_refused_is_taken_back() {
    let shop = Shop::new();
    let request = page("/orders/o-closed").header(header::COOKIE, "access=old");
    let request = request.body(Body::empty()).unwrap();
    let response = shop.pages().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let taken_back = cookies(&response);
    assert_eq!(taken_back.len(), 1);
    assert!(
        taken_back[0].starts_with("access=; Path=/; Max-Age=0"),
        "{taken_back:?}"
    );
}

#[tokio::test]
async fn an_operator_signs_with_any_name() {
    let shop = Shop::new();
    let form = "operator=J%C3%B6rg&reason=stuck&sure=yes";
    let response = shop.post("/ops/sagas/r-1/cancel", form, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let sent = shop.sent.lock().unwrap();
    assert_eq!(sent[0].0["x-operator"].as_bytes(), "Jörg".as_bytes());
}

#[tokio::test]
async fn the_customer_of_a_completed_order_returns_what_is_left_of_it_once_per_form() {
    let shop = Shop::new();
    let (_, page) = shop.get("/orders/o-1").await;
    assert!(!page.contains("Return it"), "{page}");
    *shop.status.lock().unwrap() = "completed";
    let (_, page) = shop.get("/orders/o-1").await;
    for part in [
        "too &lt;small&gt;",
        "status refunded",
        "name=\"key\" value=\"return-2-of-o-1\"",
        "name=\"pieces:SKU-001\" min=\"0\" max=\"1\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let path = "/orders/o-1/returns";
    for nothing in ["key=k", "key=k&pieces:SKU-001=0", "key=k&pieces:SKU-001=x"] {
        let response = shop.post(path, nothing, &[]).await;
        let status = response.status();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{nothing}");
    }
    assert!(shop.sent.lock().unwrap().is_empty());
    let form = "key=return-2-of-o-1&pieces%3ASKU-001=1&pieces%3ASKU-002=&reason=+too+big+";
    let response = shop.post(path, form, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/orders/o-1#returns");
    let sent = shop.sent.lock().unwrap();
    assert_eq!(sent[0].0["idempotency-key"], "return-2-of-o-1");
    let line = json!({"sku": "SKU-001", "quantity": 1});
    assert_eq!(sent[0].1, json!({"lines": [line], "reason": "too big"}));
}

/// The text of the next event of a stream; none = the stream has ended.
async fn event(body: &mut Body) -> Option<String> {
    loop {
        let frame = body.frame().await?.unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        // Comments keep the connection alive.
        if !text.starts_with(':') {
            return Some(text);
        }
    }
}

fn id_of(event: &str) -> &str {
    let line = event.lines().find(|line| line.starts_with("id:"));
    line.unwrap().trim_start_matches("id:").trim()
}

/// Where the page says what it shows already.
fn live(page: &str) -> String {
    let (_, rest) = page.split_once("data-live=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_a_browser_claims_to_have_seen_is_no_part_of_an_event() {
    for seen in ["a-%0A", "%0A", "%00", "0123456789abcde%0A", "x", "-"] {
        let shop = Shop::new();
        let url = format!("/orders/o-1/live?seen={seen}");
        let request = page(&url).body(Body::empty()).unwrap();
        let response = shop.pages().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{seen}");
        let mut body = response.into_body();
        let summary = event(&mut body).await.unwrap();
        assert!(summary.contains("id=\"summary\""), "{seen}: {summary}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_hears_what_changed_and_a_returning_one_what_it_missed() {
    let shop = Shop::new();
    *shop.status.lock().unwrap() = "cancelling";
    let (_, page_of_order) = shop.get("/orders/o-1").await;
    let url = live(&page_of_order);
    let stream = async |last: Option<&str>| {
        let mut request = page(&url);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        shop.pages().oneshot(request).await.unwrap().into_body()
    };
    let mut first = stream(None).await;
    *shop.status.lock().unwrap() = "cancelled";
    let summary = event(&mut first).await.unwrap();
    assert!(
        summary.contains("id=\"summary\"") && summary.contains("cancelled"),
        "{summary}"
    );
    let lanes = event(&mut first).await.unwrap();
    assert!(lanes.contains("id=\"lanes\""), "{lanes}");
    drop(first);

    // It saw the summary, and lost its connection before the lanes.
    let mut second = stream(Some(id_of(&summary))).await;
    let missed = event(&mut second).await.unwrap();
    assert!(missed.contains("id=\"lanes\""), "{missed}");
    shop.closing.cancel();
    assert_eq!(
        event(&mut second).await,
        None,
        "the stream ends with the shop"
    );
}

#[tokio::test]
async fn a_visitor_carries_a_parcel_where_the_carrier_is_simulated_and_nowhere_else() {
    let mut shop = Shop::new();
    for path in ["/", "/orders/o-1"] {
        let (_, page) = shop.get(path).await;
        assert!(
            !page.contains("ou are the courier") && !page.contains("be the courier"),
            "{page}"
        );
    }
    let carried = "key=k-1&sku=SKU-001&courier=me";
    shop.post("/buy", carried, &[]).await;
    assert_eq!(
        shop.sent.lock().unwrap()[0].1["ship_to"]["postcode"],
        "10115"
    );

    shop.is_whole = true;
    let (_, page) = shop.get("/").await;
    assert!(page.contains("Buy, and be the courier"), "{page}");
    shop.post("/buy", carried, &[]).await;
    let order = shop.sent.lock().unwrap()[1].1.clone();
    assert_eq!(order["ship_to"]["postcode"], "99999");
    assert_eq!(order["payment_method"], "pm_ok");
    let (_, page) = shop.get("/orders/o-1").await;
    for status in ["delivered", "delivery_failed", "returned"] {
        assert!(
            page.contains(&format!("name=\"status\" value=\"{status}\"")),
            "{page}"
        );
    }
    let report = "tracking_no=MS1&status=returned";
    let foreign = ("sec-fetch-site", "cross-site");
    let response = shop.post("/orders/o-1/courier", report, &[foreign]).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let response = shop.post("/orders/o-1/courier", report, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/orders/o-1");
    let sent = shop.sent.lock().unwrap();
    assert_eq!(sent.len(), 3);
    assert_eq!(
        sent[2].1,
        json!({"tracking_no": "MS1", "status": "returned"})
    );
}

#[tokio::test]
async fn the_console_of_a_whole_shop_checks_plays_and_says_who_acted() {
    let mut shop = Shop::new();
    let (_, page) = shop.get("/ops/acts").await;
    assert!(page.contains("commerce dlq audit"), "{page}");
    let (_, page) = shop.get("/ops/invariants").await;
    assert!(page.contains("commerce demo NAME"), "{page}");
    assert!(!page.contains("/ops/invariants/check"), "{page}");

    shop.is_whole = true;
    let (_, page) = shop.get("/ops/acts").await;
    assert!(page.contains("ada") && page.contains("stuck"), "{page}");
    let (_, page) = shop.get("/ops/invariants").await;
    for part in [
        "order o is stuck",
        "status broken",
        "1. It begins",
        "✓ it holds",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let response = shop.post("/ops/invariants/check", "", &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let play = "/ops/invariants/play";
    for unsigned in [
        "scenario=poison",
        "scenario=poison&operator=ada&reason=+&sure=yes",
    ] {
        let response = shop.post(play, unsigned, &[]).await;
        assert_eq!(
            response.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{unsigned}"
        );
    }
    let signed = "scenario=poison&operator=ada&reason=to+see&sure=yes";
    let response = shop.post(play, signed, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let sent = shop.sent.lock().unwrap();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].0["x-operator"], "ada");
    assert_eq!(sent[1].1, json!({"reason": "to see"}));
}
