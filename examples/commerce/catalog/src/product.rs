//! A product, what a change of it is, and the event that tells it. Pure.

use commerce_chassis::{Problem, utoipa};
use commerce_contracts::{
    Availability, Money, ProductChanged, ProductPrice, ProductStatus, Sku, TaxClass,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::http::invalid;

const LONGEST_NAME: usize = 200;
/// Ten million of a currency.
const HIGHEST_PRICE: i64 = 1_000_000_000;

/// What an operator decides about a product.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductDetails)]
pub(crate) struct Details {
    /// What customers read.
    pub(crate) name: String,
    /// The category that it is listed in.
    pub(crate) category: String,
    /// Whether it is for sale.
    #[schema(value_type = String, example = "active")]
    pub(crate) status: ProductStatus,
    /// What it is taxed as.
    #[schema(value_type = String, example = "standard")]
    pub(crate) tax_class: TaxClass,
    /// The price of one piece in each currency, without tax.
    #[schema(value_type = Vec<Price>)]
    pub(crate) prices: Vec<ProductPrice>,
}

impl Details {
    /// Checks all that needs no table, and sorts the prices.
    pub(crate) fn check(mut self) -> Result<Self, Problem> {
        let wrong =
            |detail: String| invalid("invalid-product", "The product is not complete", detail);
        let unprintable = self.name.chars().any(char::is_control);
        if self.name.trim().is_empty() || unprintable || self.name.chars().count() > LONGEST_NAME {
            let wanted = format!("name: 1 to {LONGEST_NAME} printable characters");
            return Err(wrong(wanted));
        }
        if self.prices.is_empty() {
            return Err(wrong("prices: at least one".to_owned()));
        }
        let least = Money::from_minor(1).unwrap_or_default();
        let most = Money::from_minor(HIGHEST_PRICE).unwrap_or(Money::MAX);
        let within = |price: &ProductPrice| (least..=most).contains(&price.price_minor);
        if !self.prices.iter().all(within) {
            let wanted = format!("prices: each from 1 to {HIGHEST_PRICE} minor units");
            return Err(wrong(wanted));
        }
        self.prices.sort_by_key(|price| price.currency);
        let mut pairs = self.prices.windows(2);
        if pairs.any(|pair| pair[0].currency == pair[1].currency) {
            return Err(wrong("prices: one of each currency".to_owned()));
        }
        Ok(self)
    }
}

/// Whether a SKU can be given to a new product.
pub(crate) fn check_sku(sku: &Sku) -> Result<(), Problem> {
    let text = sku.as_str().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-';
    if (1..=32).contains(&text.len()) && text[0] != b'-' && text.iter().all(plain) {
        return Ok(());
    }
    let wanted = "sku: 1 to 32 of A-Z, 0-9 and -, such as SKU-001";
    Err(invalid(
        "invalid-product",
        "The product is not complete",
        wanted,
    ))
}

/// A product of the write side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) sku: Sku,
    pub(crate) version: i64,
    pub(crate) details: Details,
}

impl Product {
    /// The details with the fields of `patch` in place of the own ones (RFC 7396).
    pub(crate) fn patched(&self, patch: Map<String, Value>) -> Result<Details, Problem> {
        let mismatch = |error: serde_json::Error| crate::http::not_a_product(&error);
        let mut merged = serde_json::to_value(&self.details).map_err(mismatch)?;
        for (field, value) in patch {
            // A field that is null is removed: then it is missing, since none is optional here.
            if value.is_null() {
                return Err(invalid(
                    "invalid-product",
                    "The product is not complete",
                    format!("{:?} cannot be removed", crate::http::clip(&field)),
                ));
            }
            merged[field] = value;
        }
        serde_json::from_value(merged).map_err(mismatch)
    }

    /// The names of the fields in which `details` differ.
    pub(crate) fn differences(&self, details: &Details) -> Vec<String> {
        let own = &self.details;
        let fields = [
            ("name", own.name != details.name),
            ("category", own.category != details.category),
            ("status", own.status != details.status),
            ("tax_class", own.tax_class != details.tax_class),
            ("prices", own.prices != details.prices),
        ];
        let differing = fields.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| name.to_owned()).collect()
    }

    /// What other services hear of a change.
    pub(crate) fn changed(&self, changed: Vec<String>) -> ProductChanged {
        let details = self.details.clone();
        ProductChanged {
            product_id: self.id.clone(),
            sku: self.sku.clone(),
            name: details.name,
            status: details.status,
            prices: details.prices,
            tax_class: details.tax_class,
            version: self.version,
            changed,
        }
    }
}

/// A product as clients see it.
#[derive(Clone, PartialEq, Eq, Serialize, utoipa::ToSchema, Debug)]
#[schema(as = Product)]
pub(crate) struct Shown {
    pub(crate) product_id: String,
    #[schema(value_type = String, example = "SKU-001")]
    pub(crate) sku: Sku,
    pub(crate) name: String,
    pub(crate) category: String,
    #[schema(value_type = String, example = "active")]
    pub(crate) status: ProductStatus,
    #[schema(value_type = String, example = "standard")]
    pub(crate) tax_class: TaxClass,
    #[schema(value_type = Vec<Price>)]
    pub(crate) prices: Vec<ProductPrice>,
    pub(crate) version: i64,
    #[schema(value_type = String, example = "in_stock")]
    pub(crate) availability: Availability,
}

/// The price of one piece in one currency, without tax.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it describes what `ProductPrice` writes")]
pub(crate) struct Price {
    #[schema(example = "EUR")]
    currency: String,
    price_minor: i64,
}

impl Shown {
    /// The same tag for the same contents: a version of the product, and what is seen of its stock.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}-{}\"", self.version, self.availability.name())
    }
}

#[cfg(test)]
mod tests {
    use commerce_contracts::Currency;
    use serde_json::json;

    use super::*;

    fn price(currency: Currency, minor: i64) -> ProductPrice {
        ProductPrice {
            currency,
            price_minor: Money::from_minor(minor).unwrap(),
        }
    }

    fn kettle() -> Product {
        Product {
            id: "prod-1".to_owned(),
            sku: Sku::new("KETTLE-1"),
            version: 3,
            details: Details {
                name: "Kettle".to_owned(),
                category: "kitchen".to_owned(),
                status: ProductStatus::Active,
                tax_class: TaxClass::Standard,
                prices: vec![price(Currency::Eur, 1999)],
            },
        }
    }

    fn patched(patch: Value) -> Result<Details, Problem> {
        let Value::Object(patch) = patch else {
            panic!("{patch} is no object");
        };
        kettle().patched(patch)?.check()
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let patch =
            json!({"name": "Big kettle", "prices": [{"currency": "USD", "price_minor": 2}]});
        let details = patched(patch).unwrap();
        assert_eq!(details.category, "kitchen");
        assert_eq!(kettle().differences(&details), ["name", "prices"]);
        assert!(kettle().differences(&kettle().details).is_empty());
        for wrong in [
            json!({"sku": "OTHER"}),
            json!({"name": null}),
            json!({"name": ""}),
            json!({"name": "a\u{0}b"}),
            json!({"prices": []}),
            json!({"prices": [{"currency": "EUR", "price_minor": 0}]}),
            json!({"prices": [{"currency": "EUR", "price_minor": 1}, {"currency": "EUR", "price_minor": 2}]}),
            json!({"status": "sold"}),
        ] {
            let refused = patched(wrong.clone()).unwrap_err();
            assert_eq!(refused.status.as_u16(), 422, "{wrong}");
        }
    }

    #[test]
    fn a_sku_is_short_and_plain() {
        for good in ["SKU-001", "A", "9"] {
            assert!(check_sku(&Sku::new(good)).is_ok(), "{good}");
        }
        for bad in ["", "-A", "a", "A B", "Ä", &"A".repeat(33)] {
            assert!(check_sku(&Sku::new(bad)).is_err(), "{bad}");
        }
    }
}
