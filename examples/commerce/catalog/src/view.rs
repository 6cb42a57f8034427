//! The read side: one row per product, and the version of all of them.

use commerce_chassis::{Connection, Error, Pool, Result, sql, utoipa};
use commerce_contracts::{Availability, OrderId, Sku};
use serde::Serialize;

use crate::{
    product::{Product, Shown},
    query::{Place, Query, Sort},
    store::{status, tax_class},
};

/// Locks the read side until the transaction ends; call it before writing any of it.
///
/// A transaction handles the messages of many orders, whose SKUs come in any order. Without this
/// lock, two transactions that write the same rows would deadlock. Versions are given in the order of
/// commits for the same reason, so a reader who knows version 7 has missed no change before it.
pub(crate) async fn lock(connection: &mut Connection) -> Result<()> {
    sqlx::query(commerce_chassis::locking!(
        "SELECT version FROM cache_versions WHERE name = 'products'",
        "cache_versions"
    ))
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// The answers have changed: their next version.
pub(crate) async fn advance(connection: &mut Connection) -> Result<i64> {
    sqlx::query_scalar(
        "UPDATE cache_versions SET version = version + 1 WHERE name = 'products' RETURNING version",
    )
    .fetch_one(connection)
    .await
    .map_err(sql)
}

/// The version of the answers.
pub(crate) async fn version(reader: &Pool) -> Result<i64> {
    sqlx::query_scalar("SELECT version FROM cache_versions WHERE name = 'products'")
        .fetch_one(reader)
        .await
        .map_err(sql)
}

/// Writes what a product's own change says. Nothing of a new product is in stock.
pub(crate) async fn put(
    connection: &mut Connection,
    product: &Product,
    category: &str,
) -> Result<()> {
    let details = &product.details;
    let prices = serde_json::to_string(&details.prices);
    let prices = prices.map_err(|error| Error::damaged("a product", error))?;
    let words = format!("{} {} {category}", product.sku, details.name).to_lowercase();
    sqlx::query(
        "INSERT INTO product_view (product_id, sku, name, category, status, tax_class, prices, version, words, availability, stock_version, sold)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0)
         ON CONFLICT (product_id) DO UPDATE SET name = excluded.name, category = excluded.category, status = excluded.status,
             tax_class = excluded.tax_class, prices = excluded.prices, version = excluded.version, words = excluded.words",
    )
    .bind(&product.id)
    .bind(product.sku.as_str())
    .bind(&details.name)
    .bind(&details.category)
    .bind(details.status.name())
    .bind(details.tax_class.name())
    .bind(prices)
    .bind(product.version)
    .bind(words)
    .bind(Availability::Out.name())
    .execute(connection)
    .await
    .map_err(sql)?;
    Ok(())
}

/// Writes what is seen of the stock of a SKU, unless a later version of the stock item is known.
/// Whether that changes what clients see.
pub(crate) async fn set_availability(
    connection: &mut Connection,
    sku: &Sku,
    availability: Availability,
    stock_version: i64,
) -> Result<bool> {
    let known: Option<(String, i64)> =
        sqlx::query_as("SELECT availability, stock_version FROM product_view WHERE sku = $1")
            .bind(sku.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(sql)?;
    let Some((before, _)) = known.filter(|(_, version)| *version < stock_version) else {
        return Ok(false);
    };
    sqlx::query("UPDATE product_view SET availability = $2, stock_version = $3 WHERE sku = $1")
        .bind(sku.as_str())
        .bind(availability.name())
        .bind(stock_version)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(before != availability.name())
}

/// Counts what an order has sold of a SKU, once.
pub(crate) async fn sold(
    connection: &mut Connection,
    order_id: &OrderId,
    sku: &Sku,
    quantity: i64,
) -> Result<()> {
    let new = sqlx::query(
        "INSERT INTO sales (order_id, sku, quantity) VALUES ($1, $2, $3) ON CONFLICT (order_id, sku) DO NOTHING",
    )
    .bind(order_id.as_str())
    .bind(sku.as_str())
    .bind(quantity)
    .execute(&mut *connection)
    .await
    .map_err(sql)?
    .rows_affected();
    if new == 0 {
        return Ok(());
    }
    sqlx::query("UPDATE product_view SET sold = sold + $2 WHERE sku = $1")
        .bind(sku.as_str())
        .bind(quantity)
        .execute(connection)
        .await
        .map_err(sql)?;
    Ok(())
}

/// A product by its id or its SKU.
pub(crate) async fn find(connection: &mut Connection, id: &str) -> Result<Option<Shown>> {
    let found: Option<ProductRow> = sqlx::query_as(
        "SELECT product_id, sku, name, category, status, tax_class, prices, version, availability, sold
         FROM product_view WHERE product_id = $1 OR sku = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(sql)?;
    let listed = found.map(listed).transpose()?;
    Ok(listed.map(|listed| listed.product))
}

/// A product in a list.
#[derive(Clone, PartialEq, Eq, Serialize, utoipa::ToSchema, Debug)]
#[schema(as = ListedProduct)]
pub(crate) struct Listed {
    #[serde(flatten)]
    pub(crate) product: Shown,
    /// Pieces, of completed orders.
    pub(crate) sold: i64,
}

/// A page of products.
#[derive(Clone, PartialEq, Eq, Serialize, utoipa::ToSchema, Debug)]
#[schema(as = Products)]
pub(crate) struct Page {
    pub(crate) items: Vec<Listed>,
    /// The parameter `page` of the next page; none = this is the last one.
    pub(crate) next: Option<String>,
}

const BY_SKU: &str = "SELECT product_id, sku, name, category, status, tax_class, prices, version, availability, sold FROM product_view
     WHERE status = 'active' AND ($1 = '' OR category = $1)
       AND words LIKE $2 ESCAPE '\\' AND words LIKE $3 ESCAPE '\\' AND words LIKE $4 ESCAPE '\\' AND words LIKE $5 ESCAPE '\\'
       AND sold <= $6 AND sku > $7
     ORDER BY sku LIMIT $8 + 0";
const BY_SALES: &str = "SELECT product_id, sku, name, category, status, tax_class, prices, version, availability, sold FROM product_view
     WHERE status = 'active' AND ($1 = '' OR category = $1)
       AND words LIKE $2 ESCAPE '\\' AND words LIKE $3 ESCAPE '\\' AND words LIKE $4 ESCAPE '\\' AND words LIKE $5 ESCAPE '\\'
       AND (sold < $6 OR (sold = $6 AND sku > $7))
     ORDER BY sold DESC, sku LIMIT $8 + 0";

/// A page of the products for sale that a search finds.
pub(crate) async fn list(reader: &Pool, query: &Query) -> Result<Page> {
    let statement = match query.sort {
        Sort::Sku => BY_SKU,
        Sort::Popular => BY_SALES,
    };
    let mut statement = sqlx::query_as(statement).bind(&query.category);
    for pattern in query.patterns() {
        statement = statement.bind(pattern);
    }
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut rows: Vec<ProductRow> = statement
        .bind(query.after.sold)
        .bind(&query.after.sku)
        // One more says whether there is a next page.
        .bind(i64::from(query.limit) + 1)
        .fetch_all(reader)
        .await
        .map_err(sql)?;
    let is_last = rows.len() <= limit;
    rows.truncate(limit);
    let items = rows.into_iter().map(listed);
    let items: Vec<Listed> = items.collect::<Result<_>>()?;
    let last = items.last().filter(|_| !is_last);
    let next = last.map(|last| {
        let place = Place {
            sold: last.sold,
            sku: last.product.sku.to_string(),
        };
        place.text(query.sort)
    });
    Ok(Page { items, next })
}

/// A category, with the number of products for sale in it.
#[derive(Clone, PartialEq, Eq, Serialize, utoipa::ToSchema, Debug)]
pub(crate) struct Category {
    #[serde(rename = "category")]
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) products: i64,
}

/// All categories, in the order in which they are shown.
pub(crate) async fn categories(reader: &Pool) -> Result<Vec<Category>> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT c.category, c.name, count(v.product_id) FROM categories AS c
         LEFT JOIN product_view AS v ON v.category = c.category AND v.status = 'active'
         GROUP BY c.category, c.name, c.position ORDER BY c.position",
    )
    .fetch_all(reader)
    .await
    .map_err(sql)?;
    let category = |(slug, name, products)| Category {
        slug,
        name,
        products,
    };
    Ok(rows.into_iter().map(category).collect())
}

type ProductRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    String,
    i64,
);

fn listed(row: ProductRow) -> Result<Listed> {
    let (product_id, sku, name, category, state, tax, prices, version, seen, sold) = row;
    let prices = serde_json::from_str(&prices);
    let product = Shown {
        product_id,
        sku: Sku::new(sku),
        name,
        category,
        status: status(&state)?,
        tax_class: tax_class(&tax)?,
        prices: prices.map_err(|error| Error::damaged("a product's row", error))?,
        version,
        availability: Availability::from_name(&seen)
            .ok_or_else(|| Error::damaged("a product's row", format!("availability {seen:?}")))?,
    };
    Ok(Listed { product, sold })
}
