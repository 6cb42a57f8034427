//! The least privileges of a writer, of a relay and of an operator.

use mainstay_database::{Namespace, postgres::statement};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// SQL that creates the roles `<prefix>outbox_writer`, `<prefix>outbox_relay` and
/// `<prefix>outbox_operator`, and grants each the privileges it needs and no more.
///
/// Run it as the owner of the tables, after the migration, and grant the roles to the logins of your
/// services. Several processes may run it at once.
///
/// Roles belong to the whole server: the same prefix means the same roles in all its databases and
/// schemas. Give services that must not access each other's messages prefixes of their own.
///
/// ```
/// use mainstay_outbox::database::Namespace;
///
/// let sql = mainstay_outbox::postgres::roles(&Namespace::prefixed("shop_")?);
/// assert!(sql.as_str().contains("GRANT SELECT, DELETE ON shop_outbox TO shop_outbox_relay"));
/// # Ok::<_, mainstay_outbox::database::InvalidNamespace>(())
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
    let roles =
        namespace.render("{prefix}outbox_writer, {prefix}outbox_relay, {prefix}outbox_operator");
    let grants = grants.as_str();
    // Safe: a checked namespace, and program text.
    AssertSqlSafe(format!(
        "{grants}\nGRANT USAGE ON SCHEMA \"{schema}\" TO {roles};\n"
    ))
    .into_sql_str()
}
