//! The least privileges that a writer and a relay need.

use mainstay_database::{Namespace, postgres::statement};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// SQL that makes the roles `<prefix>outbox_writer` and `<prefix>outbox_relay` and grants them what enqueues and relays
/// need, no more. Run it as the owner of the tables, after [`PostgresOutbox::open`](super::PostgresOutbox::open) or the
/// migration, and grant the roles to those that log in. Several may run it at once.
///
/// The roles belong to the whole server: the same prefix means the same roles in all its databases and schemas. Services that
/// shall not touch each other's messages have prefixes of their own.
///
/// ```
/// use mainstay_database::Namespace;
///
/// let sql = mainstay_outbox::postgres::roles(&Namespace::prefixed("shop_")?);
/// assert!(sql.as_str().contains("GRANT SELECT, DELETE ON shop_outbox TO shop_outbox_relay"));
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
    let roles = namespace.render("{prefix}outbox_writer, {prefix}outbox_relay");
    let grants = grants.as_str();
    // Safe: a checked namespace, and program text.
    AssertSqlSafe(format!(
        "{grants}\nGRANT USAGE ON SCHEMA \"{schema}\" TO {roles};\n"
    ))
    .into_sql_str()
}
