//! The least privileges that a service with sagas or participants needs.

use mainstay_database::{Namespace, postgres::statement};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// SQL that creates the role `<prefix>saga_worker` and grants it the privileges of orchestrator,
/// timers, desk and participants, and no others. Run it as the owner of the tables, after the
/// migrations, and grant the role to the users that services log in with. Several processes may run
/// it at once.
///
/// A role belongs to the whole server: the same prefix means the same role in all databases and
/// schemas. Give services that must not touch each other's sagas prefixes of their own.
///
/// ```
/// use mainstay_database::Namespace;
///
/// let sql = mainstay_saga::postgres::roles(&Namespace::prefixed("shop_")?);
/// assert!(sql.as_str().contains("GRANT SELECT, INSERT, DELETE ON shop_saga_journal TO shop_saga_worker"));
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
    let role = namespace.render("{prefix}saga_worker");
    let grants = grants.as_str();
    // Safe: a checked namespace, and program text.
    AssertSqlSafe(format!(
        "{grants}\nGRANT USAGE ON SCHEMA \"{schema}\" TO {role};\n"
    ))
    .into_sql_str()
}
