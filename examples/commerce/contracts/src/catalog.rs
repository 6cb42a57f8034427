//! The events of the catalog service.

use std::borrow::Cow;

use mainstay_messaging::event::{Event, Json, UpcastError, Upcaster};
use serde::{Deserialize, Serialize};

use crate::{Currency, Money, Sku};

/// A product was created or changed. Version 1 had one price in euros and no tax class.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ProductChanged {
    /// The product.
    pub product_id: String,
    /// Its SKU.
    pub sku: Sku,
    /// Its name.
    pub name: String,
    /// Whether it is for sale.
    pub status: ProductStatus,
    /// The price of one piece in each currency, without tax.
    pub prices: Vec<ProductPrice>,
    /// What it is taxed as.
    pub tax_class: TaxClass,
    /// Grows by one with each change of the product, from 1.
    pub version: i64,
    /// The names of the changed fields; empty for a new product.
    pub changed: Vec<String>,
}

/// The price of one piece in one currency, without tax.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ProductPrice {
    /// The currency.
    pub currency: Currency,
    /// The amount.
    pub price_minor: Money,
}

/// Whether a product is for sale.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    /// It is for sale.
    Active,
    /// It is not sold any more.
    Retired,
}

impl ProductStatus {
    /// The name in tables and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    /// Reads [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::Retired]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// What a product is taxed as.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum TaxClass {
    /// 19 per cent.
    Standard,
    /// 7 per cent.
    Reduced,
}

impl TaxClass {
    /// The tax in per cent.
    #[must_use]
    pub const fn percent(self) -> i64 {
        match self {
            Self::Standard => 19,
            Self::Reduced => 7,
        }
    }

    /// The name in tables and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Reduced => "reduced",
        }
    }

    /// Reads [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Standard, Self::Reduced]
            .into_iter()
            .find(|class| class.name() == name)
    }
}

impl Event for ProductChanged {
    const TOPIC: &'static str = "catalog";
    const KIND: &'static str = "ProductChanged";
    const VERSION: u32 = 2;
    const UPCASTERS: &'static [Upcaster] = &[prices_by_currency];

    fn key(&self) -> Option<Cow<'_, str>> {
        Some(self.sku.as_str().into())
    }
}

/// Version 1 → 2: the one price was in euros, and every product had the standard tax.
fn prices_by_currency(mut payload: Json) -> Result<Json, UpcastError> {
    let price: i64 = payload.take("price_minor")?;
    payload.set(
        "prices",
        &[serde_json::json!({"currency": "EUR", "price_minor": price})],
    )?;
    payload.set("tax_class", "standard")?;
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use mainstay_messaging::{Message, event::decode};

    use super::*;

    #[test]
    fn version_1_is_read_as_a_price_in_euros() {
        let old = r#"{"product_id":"p-1","sku":"SKU-001","name":"Kettle","status":"active","price_minor":1999,"version":3,"changed":["price_minor"]}"#;
        let message = Message::builder()
            .topic("catalog")
            .kind("ProductChanged")
            .source("/catalog")
            .version(1)
            .payload(old)
            .build()
            .unwrap();
        let read: ProductChanged = decode(&message).unwrap();
        let euros = Money::from_minor(1999).unwrap();
        assert_eq!(read.prices.len(), 1);
        assert_eq!(read.prices[0].price_minor, euros);
        assert_eq!(read.tax_class, TaxClass::Standard);
        assert_eq!(read.version, 3);
    }
}
