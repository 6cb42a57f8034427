//! The service on a database: commands, events, and what is read.

mod fixture;

use axum::http::{Method, StatusCode, header};
use commerce_chassis::Caller;
use commerce_contracts::{
    Currency, Money, OrderCompleted, OrderId, OrderLine, ProductChanged, ProductStatus, Sku,
    StockLevelChanged,
};
use serde_json::{Value, json};

use fixture::Fixture;

fn kettle() -> Value {
    json!({
        "sku": "KETTLE-1",
        "name": "Copper Kettle",
        "category": "kitchen",
        "tax_class": "standard",
        "prices": [{"currency": "USD", "price_minor": 2100}, {"currency": "EUR", "price_minor": 1999}],
    })
}

fn level(sku: &str, available: i64, version: i64) -> StockLevelChanged {
    StockLevelChanged {
        sku: Sku::new(sku),
        warehouse: "main".to_owned(),
        on_hand: available,
        reserved: 0,
        available,
        version,
        cause: "reserved".to_owned(),
    }
}

fn completed(order: &str, lines: &[(&str, i64)]) -> OrderCompleted {
    let line = |(line_no, (sku, qty)): (u32, &(&str, i64))| OrderLine {
        line_no,
        sku: Sku::new(*sku),
        qty: *qty,
        unit_price_minor: Money::ZERO,
        tax_minor: Money::ZERO,
    };
    OrderCompleted {
        order_id: OrderId::new(order),
        customer_id: "cust-001".to_owned(),
        captured_minor: Money::ZERO,
        lines: (1..).zip(lines).map(line).collect(),
        completed_at: 0,
    }
}

#[tokio::test]
async fn the_seed_has_the_prices_of_the_price_book() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    for number in [1, 5, 66, 199, 200] {
        let shown = shop.get(&format!("/api/v1/products/SKU-{number:03}")).await;
        let euros: i64 = 199 + number * 137 % 9000;
        let prices = json!([
            {"currency": "EUR", "price_minor": euros},
            {"currency": "GBP", "price_minor": euros * 86 / 100},
            {"currency": "USD", "price_minor": euros * 110 / 100},
        ]);
        assert_eq!(shown.body["prices"], prices, "{shown:?}");
        let reduced = number % 5 == 0;
        assert_eq!(shown.body["tax_class"] == "reduced", reduced, "{shown:?}");
        let availability = if number == 200 { "low" } else { "in_stock" };
        assert_eq!(shown.body["availability"], availability);
    }
    let categories = shop.get("/api/v1/categories").await;
    let categories = categories.body.as_array().unwrap();
    let products = categories.iter().map(|it| it["products"].as_i64().unwrap());
    assert_eq!((categories.len(), products.sum::<i64>()), (8, 200));
}

#[tokio::test]
async fn a_command_is_read_at_once_and_told_to_others() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    assert_eq!(shop.skus("/api/v1/products?q=copper").await, [""; 0]);
    let missing = shop.get("/api/v1/products/KETTLE-1").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);

    let created = shop
        .command(Method::POST, "/api/v1/products", None, Some(&kettle()))
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.body["availability"], "out");
    let path = created.headers[header::LOCATION].to_str().unwrap();
    for path in [path, "/api/v1/products/KETTLE-1"] {
        let shown = shop.get(path).await;
        assert_eq!((shown.etag(), &shown.body), (created.etag(), &created.body));
    }
    assert_eq!(shop.skus("/api/v1/products?q=copper").await, ["KETTLE-1"]);

    let named = json!({"name": "Copper Kettle, 2 l"});
    let patched = shop
        .command(Method::PATCH, path, Some(created.etag()), Some(&named))
        .await;
    assert_eq!(patched.status, StatusCode::OK, "{patched:?}");
    assert_eq!(shop.get(path).await.body["name"], named["name"]);

    let nothing = shop
        .command(Method::PATCH, path, Some(patched.etag()), Some(&named))
        .await;
    assert_eq!(nothing.etag(), patched.etag());
    let retired = shop
        .command(Method::DELETE, path, Some(patched.etag()), None)
        .await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT);
    assert_eq!(shop.get(path).await.body["status"], "retired");
    assert_eq!(shop.skus("/api/v1/products?q=copper").await, [""; 0]);

    let told: Vec<ProductChanged> = shop.emitted().await;
    let versions: Vec<_> = told.iter().map(|it| (it.version, it.status)).collect();
    let active = ProductStatus::Active;
    let retired = ProductStatus::Retired;
    assert_eq!(versions, [(1, active), (2, active), (3, retired)]);
    let changed: Vec<_> = told.iter().map(|it| it.changed.join(",")).collect();
    assert_eq!(changed, ["", "name", "status"]);
    assert_eq!(told[1].name, "Copper Kettle, 2 l");
    let euros = &told[1].prices[0];
    assert_eq!(
        (euros.currency, euros.price_minor.minor()),
        (Currency::Eur, 1999)
    );
}

#[tokio::test]
async fn a_change_of_an_old_version_is_refused() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let path = "/api/v1/products/SKU-007";
    let etag = shop.get(path).await.etag().to_owned();
    let named = |name: &str| json!({ "name": name });
    let blind = shop
        .command(Method::PATCH, path, None, Some(&named("a")))
        .await;
    assert_eq!(
        (blind.status, blind.problem()),
        (StatusCode::PRECONDITION_REQUIRED, "precondition-required")
    );
    let (first, second) = (named("first"), named("second"));
    let (first, second) = tokio::join!(
        shop.command(Method::PATCH, path, Some(&etag), Some(&first)),
        shop.command(Method::PATCH, path, Some(&etag), Some(&second)),
    );
    let (won, lost) = if first.status == StatusCode::OK {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(won.status, StatusCode::OK, "{won:?}");
    assert_eq!(
        (lost.status, lost.problem()),
        (StatusCode::PRECONDITION_FAILED, "precondition-failed")
    );
    assert_eq!(shop.get(path).await.body["name"], won.body["name"]);
    assert_eq!(shop.emitted::<ProductChanged>().await.len(), 1);
}

#[tokio::test]
async fn a_refused_command_leaves_nothing() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let mut unknown = kettle();
    unknown["category"] = json!("none\u{0}");
    let mut known = kettle();
    known["sku"] = json!("SKU-001");
    let mut more = kettle();
    more["stock"] = json!(7);
    for (body, problem) in [
        (unknown, "unknown-category"),
        (known, "sku-taken"),
        (more, "invalid-request"),
    ] {
        let refused = shop
            .command(Method::POST, "/api/v1/products", None, Some(&body))
            .await;
        assert_eq!(refused.problem(), problem);
    }
    let post = (Method::POST, "/api/v1/products");
    let customer = Caller::customer("cust-001");
    let refused = shop.send(customer, post, None, Some(&kettle())).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(shop.emitted::<ProductChanged>().await.is_empty());
    assert_eq!(shop.skus("/api/v1/products?q=copper").await, [""; 0]);
}

#[tokio::test]
async fn a_replacement_says_whether_the_product_is_for_sale() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let path = "/api/v1/products/SKU-007";
    let etag = shop.get(path).await.etag().to_owned();
    let retired = shop.command(Method::DELETE, path, Some(&etag), None).await;
    assert_eq!(retired.status, StatusCode::NO_CONTENT);
    let mut details = kettle();
    details.as_object_mut().unwrap().remove("sku");
    for (status, expected) in [
        (None, StatusCode::UNPROCESSABLE_ENTITY),
        (Some("retired"), StatusCode::OK),
        (Some("active"), StatusCode::OK),
    ] {
        let before = shop.get(path).await;
        if let Some(status) = status {
            details["status"] = json!(status);
        }
        let replaced = shop
            .command(Method::PUT, path, Some(before.etag()), Some(&details))
            .await;
        assert_eq!(replaced.status, expected, "{status:?}: {replaced:?}");
        let now = shop.get(path).await.body["status"].clone();
        assert_eq!(now, status.unwrap_or("retired"));
    }
}

#[tokio::test]
async fn a_version_that_the_client_has_is_not_sent_again() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let path = "/api/v1/products/SKU-003";
    let first = shop.get(path).await;
    let ask = async |etag: &str| {
        let condition = Some((header::IF_NONE_MATCH, etag));
        shop.send(Caller::anybody(), (Method::GET, path), condition, None)
            .await
    };
    let known = ask(first.etag()).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert_eq!((known.etag(), &known.body), (first.etag(), &Value::Null));
    // What is seen of its stock is part of the version.
    shop.handle(&level("SKU-003", 9, 2)).await.unwrap();
    shop.catch_up().await;
    let newer = ask(first.etag()).await;
    assert_eq!(newer.status, StatusCode::OK);
    assert_eq!(newer.body["availability"], "low");
}

#[tokio::test]
async fn stock_levels_never_go_back() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let path = "/api/v1/products/SKU-003";
    for (available, version, seen) in [
        (0, 5, "out"),
        (20, 4, "out"),
        (20, 5, "out"),
        (9, 6, "low"),
        (10, 7, "in_stock"),
    ] {
        shop.handle(&level("SKU-003", available, version))
            .await
            .unwrap();
        shop.catch_up().await;
        let shown = shop.get(path).await;
        assert_eq!(shown.body["availability"], seen, "{available} {version}");
    }
    // A change of the product keeps what is known of its stock.
    let etag = shop.get(path).await.etag().to_owned();
    let named = json!({"name": "Whisk"});
    let patched = shop
        .command(Method::PATCH, path, Some(&etag), Some(&named))
        .await;
    assert_eq!(patched.body["availability"], "in_stock");
}

#[tokio::test]
async fn a_sale_counts_once() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let lines = [("SKU-150", 2), ("SKU-020", 1), ("SKU-150", 3)];
    for _twice in 0..2 {
        shop.handle(&completed("a", &lines)).await.unwrap();
    }
    shop.handle(&completed("b", &[("SKU-020", 1), ("GONE", 1)]))
        .await
        .unwrap();
    let page = shop.get("/api/v1/products?sort=popular&limit=2").await;
    let sold = |place: usize| {
        let item = &page.body["items"][place];
        (
            item["sku"].as_str().unwrap(),
            item["sold"].as_i64().unwrap(),
        )
    };
    assert_eq!((sold(0), sold(1)), (("SKU-150", 5), ("SKU-020", 2)));
    let next = page.body["next"].as_str().unwrap();
    let rest = format!("/api/v1/products?sort=popular&limit=2&page={next}");
    assert_eq!(shop.skus(&rest).await, ["SKU-001", "SKU-002"]);
}

#[tokio::test]
async fn pages_hold_every_product_once() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    for sort in ["sku", "popular"] {
        let first = format!("/api/v1/products?sort={sort}&limit=30");
        let (mut path, mut seen) = (first.clone(), Vec::new());
        loop {
            seen.extend(shop.skus(&path).await);
            let page = shop.get(&path).await;
            let Some(next) = page.body["next"].as_str() else {
                break;
            };
            path = format!("{first}&page={next}");
        }
        let all: Vec<_> = (1..=200).map(|number| format!("SKU-{number:03}")).collect();
        assert_eq!(seen, all, "{sort}");
    }
}

#[tokio::test]
async fn a_search_finds_all_words_in_name_sku_and_category() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let whole = shop
        .get("/api/v1/products?category=kitchen&limit=100")
        .await;
    let kitchen = whole.body["items"].as_array().unwrap();
    assert_eq!(kitchen.len(), 27);
    let board = shop.skus("/api/v1/products?q=OAK+board").await;
    let [board] = &board[..] else {
        panic!("there is one chopping board of oak: {board:?}");
    };
    let both = format!("/api/v1/products?q=kitchen+{board}");
    assert_eq!(shop.skus(&both).await, std::slice::from_ref(board));
    let elsewhere = format!("/api/v1/products?q={board}&category=books");
    assert_eq!(shop.skus(&elsewhere).await, [""; 0]);
    for pattern in ["%25", "_", "%5C"] {
        let none = format!("/api/v1/products?q={pattern}");
        assert_eq!(shop.skus(&none).await, [""; 0], "{pattern}");
    }
    let wrong = shop.get("/api/v1/products?limit=0").await;
    assert_eq!(wrong.problem(), "invalid-query");
}
