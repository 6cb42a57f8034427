//! The price book follows the catalog.

use axum::http::StatusCode;
use commerce_chassis::Caller;
use commerce_contracts::{
    Currency, Money, ProductChanged, ProductPrice, ProductStatus, Sku, TaxClass,
};
use serde_json::{Value, json};

use super::fixture::{Fixture, message, wanted};

fn changed(sku: &str, version: i64, euros: i64) -> ProductChanged {
    ProductChanged {
        product_id: "prod".to_owned(),
        sku: Sku::new(sku),
        name: "Kettle".to_owned(),
        status: ProductStatus::Active,
        prices: vec![ProductPrice {
            currency: Currency::Eur,
            price_minor: Money::from_minor(euros).unwrap(),
        }],
        tax_class: TaxClass::Reduced,
        version,
        changed: Vec::new(),
    }
}

/// The unit price and the tax of a new order for one piece, or why there is none.
async fn order(shop: &Fixture, key: &str, body: &Value) -> Result<(i64, i64), String> {
    let (status, answer) = shop.ask_for(Caller::anybody(), key, body).await;
    if status != StatusCode::ACCEPTED {
        let kind = answer["type"].as_str().unwrap();
        return Err(kind.replace("urn:commerce:problem:", ""));
    }
    let id = answer["order_id"].as_str().unwrap();
    let shown = shop.get(&format!("/api/v1/orders/{id}")).await;
    let line = &shown["lines"][0];
    let number = |field: &str| line[field].as_i64().unwrap();
    Ok((number("unit_price_minor"), number("tax_minor")))
}

#[tokio::test]
async fn an_older_version_of_a_product_changes_no_price() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let body = wanted("SKU-001");
    assert_eq!(order(&shop, "a", &body).await, Ok((336, 64)));
    for (version, euros, price) in [
        (3, 3000, Ok((3000, 210))),
        (2, 2000, Ok((3000, 210))),
        (3, 4000, Ok((3000, 210))),
        (4, 5000, Ok((5000, 350))),
    ] {
        let event = changed("SKU-001", version, euros);
        shop.handle(message(&event, None)).await.unwrap();
        assert_eq!(
            order(&shop, &format!("{version}/{euros}"), &body).await,
            price
        );
    }
    // It is sold in these currencies and in no other.
    let mut dollars = body.clone();
    dollars["currency"] = json!("USD");
    let refused = order(&shop, "b", &dollars).await;
    assert_eq!(refused, Err("unknown-sku".to_owned()));
}

#[tokio::test]
async fn a_product_is_sold_from_its_first_version_until_it_is_retired() {
    let Some(shop) = Fixture::open().await else {
        return;
    };
    let body = wanted("KETTLE-1");
    assert_eq!(
        order(&shop, "a", &body).await,
        Err("unknown-sku".to_owned())
    );
    let new = changed("KETTLE-1", 1, 1000);
    shop.handle(message(&new, None)).await.unwrap();
    assert_eq!(order(&shop, "b", &body).await, Ok((1000, 70)));
    let mut retired = changed("KETTLE-1", 2, 1000);
    retired.status = ProductStatus::Retired;
    shop.handle(message(&retired, None)).await.unwrap();
    let refused = Err("product-not-for-sale".to_owned());
    assert_eq!(order(&shop, "c", &body).await, refused);
    let again = changed("KETTLE-1", 3, 1000);
    shop.handle(message(&again, None)).await.unwrap();
    assert_eq!(order(&shop, "d", &body).await, Ok((1000, 70)));
}
