//! The write side: products, their prices, and the categories.

use commerce_chassis::{Connection, Error, Result, sql};
use commerce_contracts::{Money, ProductPrice, ProductStatus, Sku, TaxClass};
use sqlx::Row as _;

use crate::product::{Details, Product};

/// The name of a category.
pub(crate) async fn category(connection: &mut Connection, slug: &str) -> Result<Option<String>> {
    sqlx::query_scalar("SELECT name FROM categories WHERE category = $1")
        .bind(slug)
        .fetch_optional(connection)
        .await
        .map_err(sql)
}

/// A product by its id or its SKU: no id is a SKU.
pub(crate) async fn find(connection: &mut Connection, id: &str) -> Result<Option<Product>> {
    let found = sqlx::query(
        "SELECT product_id, sku, name, category, status, tax_class, version FROM products
         WHERE product_id = $1 OR sku = $1",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await
    .map_err(sql)?;
    let Some(row) = found else {
        return Ok(None);
    };
    let id: String = row.try_get("product_id").map_err(sql)?;
    let prices: Vec<(String, i64)> = sqlx::query_as(
        "SELECT currency, price_minor FROM prices WHERE product_id = $1 ORDER BY currency",
    )
    .bind(&id)
    .fetch_all(connection)
    .await
    .map_err(sql)?;
    let mut prices: Vec<ProductPrice> = prices.into_iter().map(price).collect::<Result<_>>()?;
    prices.sort_by_key(|price| price.currency);
    Ok(Some(Product {
        id,
        sku: Sku::new(row.try_get::<String, _>("sku").map_err(sql)?),
        version: row.try_get("version").map_err(sql)?,
        details: Details {
            name: row.try_get("name").map_err(sql)?,
            category: row.try_get("category").map_err(sql)?,
            status: status(row.try_get("status").map_err(sql)?)?,
            tax_class: tax_class(row.try_get("tax_class").map_err(sql)?)?,
            prices,
        },
    }))
}

/// Inserts a product without its prices; false: its SKU is taken.
pub(crate) async fn insert(connection: &mut Connection, product: &Product) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO products (product_id, sku, name, category, status, tax_class, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (sku) DO NOTHING",
    )
    .bind(&product.id)
    .bind(product.sku.as_str())
    .bind(&product.details.name)
    .bind(&product.details.category)
    .bind(product.details.status.name())
    .bind(product.details.tax_class.name())
    .bind(product.version)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    Ok(inserted == 1)
}

/// Writes the next version of a product without its prices.
pub(crate) async fn update(connection: &mut Connection, product: &Product) -> Result<()> {
    let updated = sqlx::query(
        "UPDATE products SET name = $2, category = $3, status = $4, tax_class = $5, version = $6
         WHERE product_id = $1 AND version = $6 - 1",
    )
    .bind(&product.id)
    .bind(&product.details.name)
    .bind(&product.details.category)
    .bind(product.details.status.name())
    .bind(product.details.tax_class.name())
    .bind(product.version)
    .execute(connection)
    .await
    .map_err(sql)?
    .rows_affected();
    if updated == 1 {
        Ok(())
    } else {
        Err(Error::Changed { what: "a product" })
    }
}

/// Replaces the prices of a product.
pub(crate) async fn put_prices(connection: &mut Connection, product: &Product) -> Result<()> {
    sqlx::query("DELETE FROM prices WHERE product_id = $1")
        .bind(&product.id)
        .execute(&mut *connection)
        .await
        .map_err(sql)?;
    for price in &product.details.prices {
        sqlx::query("INSERT INTO prices (product_id, currency, price_minor) VALUES ($1, $2, $3)")
            .bind(&product.id)
            .bind(price.currency.code())
            .bind(price.price_minor.minor())
            .execute(&mut *connection)
            .await
            .map_err(sql)?;
    }
    Ok(())
}

fn price((currency, minor): (String, i64)) -> Result<ProductPrice> {
    let damaged = |error| Error::damaged("a price", error);
    Ok(ProductPrice {
        currency: currency.parse().map_err(damaged)?,
        price_minor: Money::from_minor(minor).map_err(damaged)?,
    })
}

pub(crate) fn status(name: &str) -> Result<ProductStatus> {
    ProductStatus::from_name(name)
        .ok_or_else(|| Error::damaged("a product", format!("status {name:?}")))
}

pub(crate) fn tax_class(name: &str) -> Result<TaxClass> {
    TaxClass::from_name(name)
        .ok_or_else(|| Error::damaged("a product", format!("tax class {name:?}")))
}
