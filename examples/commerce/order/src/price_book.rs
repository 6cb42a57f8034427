//! What an order is checked against: prices, which the catalog tells, and customers.

use commerce_chassis::{Connection, Error, Result, sql};
use commerce_contracts::{Currency, Money, ProductChanged, ProductStatus, Sku};

use crate::pricing::Price;

/// How a product is sold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// At this price.
    ForSale(Price),
    /// Not any more.
    Retired,
}

/// The offer of a product; none: it is not sold in this currency.
pub(crate) async fn offer(
    connection: &mut Connection,
    sku: &Sku,
    currency: Currency,
) -> Result<Option<Offer>> {
    let found: Option<(i64, i64, String)> = sqlx::query_as(
        "SELECT b.unit_minor, b.tax_percent, p.status FROM price_book AS b
         JOIN priced_products AS p ON p.sku = b.sku WHERE b.sku = $1 AND b.currency = $2",
    )
    .bind(sku.as_str())
    .bind(currency.code())
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    let Some((unit, tax_percent, status)) = found else {
        return Ok(None);
    };
    if status != ProductStatus::Active.name() {
        return Ok(Some(Offer::Retired));
    }
    let unit = Money::from_minor(unit).map_err(|error| Error::damaged("a price", error))?;
    Ok(Some(Offer::ForSale(Price { unit, tax_percent })))
}

/// Writes a product's prices in all currencies, unless the book has a later version of it.
pub(crate) async fn put(connection: &mut Connection, product: &ProductChanged) -> Result<()> {
    let is_newer = sqlx::query(
        "INSERT INTO priced_products (sku, version, status) VALUES ($1, $2, $3)
         ON CONFLICT (sku) DO UPDATE SET version = excluded.version, status = excluded.status
         WHERE priced_products.version < excluded.version",
    )
    .bind(product.sku.as_str())
    .bind(product.version)
    .bind(product.status.name())
    .execute(&mut *connection)
    .await
    .map_err(sql)?
    .rows_affected();
    if is_newer == 0 {
        return Ok(());
    }
    sqlx::query("DELETE FROM price_book WHERE sku = $1")
        .bind(product.sku.as_str())
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
    for price in &product.prices {
        sqlx::query(
            "INSERT INTO price_book (sku, currency, unit_minor, tax_percent) VALUES ($1, $2, $3, $4)",
        )
        .bind(product.sku.as_str())
        .bind(price.currency.code())
        .bind(price.price_minor.minor())
        .bind(product.tax_class.percent())
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
    }
    Ok(())
}

pub(crate) async fn is_customer(connection: &mut Connection, id: &str) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM customers WHERE customer_id = $1)")
        .bind(id)
        .fetch_one(connection)
        .await
        .map_err(sql)
}
