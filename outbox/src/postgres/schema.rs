//! Checks a schema that another tool made.

use mainstay_database::{Namespace, postgres::Database};

use crate::{
    Error,
    postgres::{driver, statements},
    schema::{self, TABLES, qualified},
};

/// Reads the catalog, which every login may, and none of the tables.
pub(super) async fn check(database: &Database, namespace: &Namespace) -> Result<(), Error> {
    let names: Vec<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    let qualified: Vec<String> = names
        .iter()
        .map(|table| qualified(namespace, table))
        .collect();
    let mut tx = database.begin_with(statements::begin_reading()).await?;
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT t.name, a.attname::text FROM unnest($1::text[], $2::text[]) t(name, qualified)
         JOIN pg_attribute a ON a.attrelid = to_regclass(t.qualified)
         WHERE a.attnum > 0 AND NOT a.attisdropped",
    )
    .persistent(database.keeps_statements())
    .bind(names)
    .bind(qualified)
    .fetch_all(&mut *tx)
    .await
    .map_err(driver)?;
    schema::check(namespace, &columns.into_iter().collect())
}
