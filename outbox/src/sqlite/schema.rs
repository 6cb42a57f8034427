//! Checks a schema that another tool made.

use mainstay_database::{Namespace, sqlite::Database};
use sqlx::AssertSqlSafe;

use crate::{
    Error,
    schema::{self, TABLES, qualified},
    sqlite::driver,
};

pub(super) async fn check(database: &Database, namespace: &Namespace) -> Result<(), Error> {
    let mut columns = std::collections::HashSet::new();
    for (table, _) in TABLES {
        // Safe: the namespace is checked, and the rest is program text.
        let sql = AssertSqlSafe(format!(
            "SELECT '{table}', name FROM pragma_table_info('{}')",
            qualified(namespace, table)
        ));
        let found: Vec<(String, String)> = sqlx::query_as(sql)
            .fetch_all(database.reader())
            .await
            .map_err(driver)?;
        columns.extend(found);
    }
    schema::check(namespace, &columns)
}
