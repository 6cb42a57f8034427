//! Tables that refuse writes without a checked token.

use mainstay_database::Namespace;
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// SQL that guards `table` by the lock `name`: from then on a statement that writes to it is refused (42501), unless
/// its transaction has [checked](crate::Guard::check) a token of that lock before.
///
/// It also refuses those who know nothing of locks: forgotten checks, other programs, a person at a console. Run it as
/// the owner of the table, after the migration; running it again changes nothing. `table` may name a schema, as in
/// `shop.orders`. To end it: `DROP TRIGGER dlock_guard ON orders`.
///
/// ```
/// use mainstay_dlock::{database::Namespace, postgres::guarded};
///
/// let sql = guarded(&Namespace::plain(), "reservations", "sweeper");
/// assert!(sql.as_str().contains("ON \"reservations\""));
/// ```
#[must_use]
pub fn guarded(namespace: &Namespace, table: &str, name: &str) -> SqlStr {
    let parts = table.split('.').map(|part| part.replace('"', "\"\""));
    let table = parts.collect::<Vec<_>>().join("\".\"");
    let function = namespace.render("{ns}dlock_require_check");
    let name = name.replace('\'', "''");
    // Safe: a checked namespace, an identifier and a string, both quoted.
    AssertSqlSafe(format!(
        "CREATE OR REPLACE TRIGGER dlock_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON \"{table}\" \
         FOR EACH STATEMENT EXECUTE FUNCTION {function}('{name}')"
    ))
    .into_sql_str()
}
