//! The least privileges that services need.

use mainstay_database::{Namespace, postgres::statement};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// SQL that creates two roles and grants them their privileges and no others: `<prefix>dlock_holder` for
/// [`PostgresLeases`](super::PostgresLeases), and `<prefix>dlock_writer` for
/// [`PostgresFences`](super::PostgresFences). Run it as the owner of the tables, after the migrations, and
/// grant the roles to the users that services log in with. A service whose leases are in Redis needs only
/// the second one. Several processes may run it at once.
///
/// A role belongs to the whole server: the same prefix means the same role in all databases and schemas.
///
/// ```
/// use mainstay_dlock::{database::Namespace, postgres::roles};
///
/// let sql = roles(&Namespace::prefixed("shop_")?);
/// assert!(sql.as_str().contains("ON shop_dlock_fences TO shop_dlock_writer"));
/// # Ok::<_, mainstay_dlock::database::InvalidNamespace>(())
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
    let roles = namespace.render("{prefix}dlock_holder, {prefix}dlock_writer");
    let grants = grants.as_str();
    // Safe: a checked namespace, and program text.
    AssertSqlSafe(format!(
        "{grants}\nGRANT USAGE ON SCHEMA \"{schema}\" TO {roles};\n"
    ))
    .into_sql_str()
}
