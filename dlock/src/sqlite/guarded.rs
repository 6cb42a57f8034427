//! Tables that refuse writes without a checked token.

use mainstay_database::Namespace;
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// SQL that guards `table` by the lock `name`: from then on a statement that writes a row of it is refused, unless its
/// transaction has [checked](crate::Guard::check) a token of that lock before, with fences that
/// [guard tables](super::FencesBuilder::guards_tables).
///
/// It also refuses those who know nothing of locks: forgotten checks, other programs, a person at a console. Run it after
/// the migration; running it again changes nothing. To end it, drop the triggers `dlock_guard_insert_orders`,
/// `dlock_guard_update_orders` and `dlock_guard_delete_orders`.
///
/// ```
/// use mainstay_dlock::{database::Namespace, sqlite::guarded};
///
/// let sql = guarded(&Namespace::plain(), "reservations", "sweeper");
/// assert!(sql.as_str().contains("BEFORE UPDATE ON \"reservations\""));
/// ```
#[must_use]
pub fn guarded(namespace: &Namespace, table: &str, name: &str) -> SqlStr {
    let (quoted, literal) = (table.replace('"', "\"\""), name.replace('\'', "''"));
    // The token of a savepoint that was rolled back is in the way of nobody: its holder is the newest one.
    let condition = namespace.render(
        "NOT (SELECT defer_foreign_keys FROM pragma_defer_foreign_keys) OR NOT EXISTS \
         (SELECT 1 FROM {ns}dlock_checked c JOIN {ns}dlock_fences f ON f.name = c.name AND f.fence = c.fence \
          WHERE c.name = ",
    );
    let triggers = ["INSERT", "UPDATE", "DELETE"].map(|event| {
        let trigger = format!("dlock_guard_{}_{quoted}", event.to_lowercase());
        format!(
            "CREATE TRIGGER IF NOT EXISTS \"{trigger}\" BEFORE {event} ON \"{quoted}\" WHEN {condition}'{literal}') \
             BEGIN SELECT RAISE(ABORT, 'table is guarded by a lock whose fencing token was not checked in this transaction: \
             call guard.check(&fences, &mut tx) first'); END;\n"
        )
    });
    // Safe: a checked namespace, identifiers and a string, all quoted.
    AssertSqlSafe(triggers.concat()).into_sql_str()
}
