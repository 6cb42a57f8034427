//! The least privileges that a service needs.

use mainstay_database::{Namespace, postgres::statement};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// SQL that creates the role `<prefix>idempotency_service` and grants it the privileges of beginning,
/// completing and sweeping, and no others. Run it as the owner of the table, after the migrations,
/// and grant the role to the users that services log in with. Several processes may run it at once.
///
/// A role belongs to the whole server: the same prefix means the same role in all databases and
/// schemas. Give services that must not read each other's answers prefixes of their own.
///
/// ```
/// use mainstay_database::Namespace;
///
/// let sql = mainstay_idempotency::postgres::roles(&Namespace::prefixed("shop_")?);
/// assert!(sql.as_str().contains("ON shop_idempotency_records TO shop_idempotency_service"));
/// # Ok::<_, mainstay_database::InvalidNamespace>(())
/// ```
#[must_use]
pub fn roles(namespace: &Namespace) -> SqlStr {
    let grants = statement(
        namespace,
        include_str!("../../migrations/postgres/roles.sql"),
    );
    let Some(schema) = namespace.schema() else {
        return grants;
    };
    let role = namespace.render("{prefix}idempotency_service");
    let grants = grants.as_str();
    // Safe: a checked namespace, and program text.
    AssertSqlSafe(format!(
        "{grants}\nGRANT USAGE ON SCHEMA \"{schema}\" TO {role};\n"
    ))
    .into_sql_str()
}
