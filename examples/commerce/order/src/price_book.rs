//! What an order is checked against: prices and customers.

use commerce_chassis::{Connection, Error, Result, sql};
use commerce_contracts::{Currency, Money, Sku};

use crate::pricing::Price;

/// The price of a product; none: it is not sold in this currency.
pub(crate) async fn price(
    connection: &mut Connection,
    sku: &Sku,
    currency: Currency,
) -> Result<Option<Price>> {
    let found: Option<(i64, i64)> = sqlx::query_as(
        "SELECT unit_minor, tax_percent FROM price_book WHERE sku = $1 AND currency = $2",
    )
    .bind(sku.as_str())
    .bind(currency.code())
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    let Some((unit, tax_percent)) = found else {
        return Ok(None);
    };
    let unit = Money::from_minor(unit).map_err(|error| Error::damaged("a price", error))?;
    Ok(Some(Price { unit, tax_percent }))
}

pub(crate) async fn is_customer(connection: &mut Connection, id: &str) -> Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM customers WHERE customer_id = $1)")
        .bind(id)
        .fetch_one(connection)
        .await
        .map_err(sql)
}
