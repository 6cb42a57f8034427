//! The text of every statement, rendered once.

use mainstay_database::{Namespace, sqlite::statement};
use sqlx::SqlStr;

#[derive(Debug)]
pub(super) struct Statements {
    pub(super) layout: SqlStr,
    pub(super) create_layout: SqlStr,
    pub(super) create_shards: SqlStr,
    pub(super) enqueue: SqlStr,
    pub(super) enqueue_set: SqlStr,
    pub(super) defer_set: SqlStr,
    pub(super) use_keys: SqlStr,
    pub(super) prune_keys: SqlStr,
    pub(super) renew_relay: SqlStr,
    pub(super) remove_dead_relays: SqlStr,
    pub(super) free_shards: SqlStr,
    pub(super) relays: SqlStr,
    pub(super) give_up_surplus: SqlStr,
    pub(super) take_share: SqlStr,
    pub(super) leases: SqlStr,
    pub(super) remove_relay: SqlStr,
    pub(super) give_up: SqlStr,
    pub(super) fetch: SqlStr,
    pub(super) summary: SqlStr,
    pub(super) fences: SqlStr,
    pub(super) delete_log: SqlStr,
    pub(super) delete_deferred: SqlStr,
    pub(super) refuse_log: SqlStr,
    pub(super) refuse_deferred: SqlStr,
    pub(super) hold_log: SqlStr,
    pub(super) hold_deferred: SqlStr,
}

/// Columns of a row of a [`RowSet`](super::row_set::RowSet): shard, topic, key, envelope, payload.
const SET: &str = "r.value ->> 0,
    CAST(substr($2, r.value ->> 1, r.value ->> 2) AS TEXT),
    CASE WHEN r.value ->> 4 >= 0 THEN CAST(substr($2, r.value ->> 3, r.value ->> 4) AS TEXT) END,
    CAST(substr($2, r.value ->> 5, r.value ->> 6) AS TEXT),
    CASE WHEN r.value ->> 8 >= 0 THEN substr($2, r.value ->> 7, r.value ->> 8) END";

/// The first row of each blocked key; a message without a key counts as a key of its own. It is read
/// from the index alone.
const HEADS: &str =
    "SELECT min(position) AS position FROM {ns}outbox_deferred INDEXED BY {prefix}outbox_deferred_by_key
    WHERE blocked = 1 GROUP BY topic, key, CASE WHEN key IS NULL THEN position END";

impl Statements {
    #[expect(clippy::too_many_lines, reason = "a list of statements")]
    pub(super) fn new(namespace: &Namespace) -> Self {
        let sql = |text: &str| statement(namespace, text);
        Self {
            layout: sql("SELECT shards, hash FROM {ns}outbox_layout"),
            create_layout: sql("INSERT INTO {ns}outbox_layout (shards, hash) VALUES ($1, $2)"),
            create_shards: sql(
                "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $1)
                 INSERT INTO {ns}outbox_shards (shard) SELECT n FROM numbers",
            ),
            enqueue: sql(
                "INSERT INTO {ns}outbox (shard, topic, key, envelope, payload) VALUES ($1, $2, $3, $4, $5)",
            ),
            enqueue_set: sql(&format!(
                "INSERT INTO {{ns}}outbox (shard, topic, key, envelope, payload)
                 SELECT {SET} FROM json_each($1) r ORDER BY r.key"
            )),
            defer_set: sql(&format!(
                "INSERT INTO {{ns}}outbox_deferred (shard, topic, key, envelope, payload, blocked, due_at)
                 SELECT {SET}, 0, r.value ->> 9 FROM json_each($1) r ORDER BY r.key"
            )),
            use_keys: sql(
                "INSERT INTO {ns}outbox_deduplication_keys (deduplication_key, used_at)
                 SELECT k.value, $2 FROM json_each($1) k WHERE true ON CONFLICT DO NOTHING RETURNING deduplication_key",
            ),
            prune_keys: sql(
                "DELETE FROM {ns}outbox_deduplication_keys WHERE deduplication_key IN
                 (SELECT deduplication_key FROM {ns}outbox_deduplication_keys WHERE used_at < $1 ORDER BY used_at LIMIT $2)",
            ),
            renew_relay: sql(
                "INSERT INTO {ns}outbox_relays (owner, boot_id, lease_until) VALUES ($1, $2, $3)
                 ON CONFLICT (owner) DO UPDATE SET boot_id = excluded.boot_id, lease_until = excluded.lease_until",
            ),
            remove_dead_relays: sql(
                "DELETE FROM {ns}outbox_relays WHERE owner <> $1 AND (boot_id <> $2 OR lease_until <= $3)",
            ),
            free_shards: sql(
                "UPDATE {ns}outbox_shards SET owner = NULL
                 WHERE owner IS NOT NULL AND owner NOT IN (SELECT owner FROM {ns}outbox_relays)",
            ),
            relays: sql("SELECT owner FROM {ns}outbox_relays ORDER BY owner"),
            // Gives up shards above the fair share and takes shards up to it with the next fencing token.
            give_up_surplus: sql(
                "UPDATE {ns}outbox_shards SET owner = NULL WHERE shard IN
                 (SELECT shard FROM {ns}outbox_shards WHERE owner = $1 ORDER BY shard LIMIT -1 OFFSET $2)",
            ),
            take_share: sql(
                "UPDATE {ns}outbox_shards SET owner = $1, fence = fence + 1 WHERE shard IN
                 (SELECT shard FROM {ns}outbox_shards WHERE owner IS NULL ORDER BY shard
                  LIMIT max(0, $2 - (SELECT count(*) FROM {ns}outbox_shards WHERE owner = $1)))",
            ),
            leases: sql("SELECT shard, fence FROM {ns}outbox_shards WHERE owner = $1 ORDER BY shard"),
            remove_relay: sql("DELETE FROM {ns}outbox_relays WHERE owner = $1"),
            give_up: sql("UPDATE {ns}outbox_shards SET owner = NULL WHERE owner = $1"),
            // One statement, so one snapshot: the deferred table, which is usually empty, then the log.
            // All rows of a blocked key are due when its head is. The indexes are named, because the
            // table may hold many rows and SQLite underestimates partial indexes.
            // Columns: kind (see `rows::row_ref`), position, attempts, topic, key, envelope, payload.
            fetch: sql(&format!(
                "WITH due AS MATERIALIZED (
                   SELECT f.topic, f.key, f.position FROM ({HEADS}) m CROSS JOIN {{ns}}outbox_deferred f ON f.position = m.position
                   WHERE f.due_at <= $3 AND f.shard IN (SELECT value FROM json_each($1)))
                 SELECT * FROM (
                   SELECT 2 + EXISTS (SELECT 1 FROM {{ns}}outbox_deferred s WHERE s.blocked = 1 AND s.topic = h.topic AND s.key = h.key),
                          position, attempts, topic, key, envelope, payload
                   FROM {{ns}}outbox_deferred h INDEXED BY {{prefix}}outbox_deferred_by_due
                   WHERE h.blocked = 0 AND h.due_at <= $3 AND h.shard IN (SELECT value FROM json_each($1))
                   ORDER BY h.due_at, h.position LIMIT $2)
                 UNION ALL
                 SELECT * FROM (
                   SELECT 4, h.position, attempts, h.topic, h.key, envelope, payload
                   FROM due d CROSS JOIN {{ns}}outbox_deferred h INDEXED BY {{prefix}}outbox_deferred_by_key
                     ON h.blocked = 1 AND h.topic = d.topic AND h.key IS d.key AND (d.key IS NOT NULL OR h.position = d.position)
                   ORDER BY h.position LIMIT $2)
                 UNION ALL
                 SELECT * FROM (
                   SELECT EXISTS (SELECT 1 FROM {{ns}}outbox_deferred WHERE blocked = 1) AND
                          EXISTS (SELECT 1 FROM {{ns}}outbox_deferred s WHERE s.blocked = 1 AND s.topic = o.topic AND s.key = o.key),
                          position, 0, topic, key, envelope, payload
                   FROM {{ns}}outbox o WHERE o.shard IN (SELECT value FROM json_each($1))
                   ORDER BY position LIMIT $2)",
            )),
            // When the next delayed row and the next head of a blocked key are due, and how many keys are blocked.
            summary: sql(&format!(
                "SELECT (SELECT due_at FROM {{ns}}outbox_deferred INDEXED BY {{prefix}}outbox_deferred_by_due
                         WHERE blocked = 0 AND due_at > $2 AND shard IN (SELECT value FROM json_each($1))
                         ORDER BY due_at LIMIT 1),
                        min(f.due_at) FILTER (WHERE f.due_at > $2), count(*)
                 FROM ({HEADS}) m CROSS JOIN {{ns}}outbox_deferred f ON f.position = m.position
                 WHERE f.shard IN (SELECT value FROM json_each($1))",
            )),
            fences: sql(
                "SELECT count(*) FROM json_each($1) h JOIN {ns}outbox_shards s
                 ON s.shard = h.value ->> 0 AND s.fence = h.value ->> 1 WHERE s.owner IS NOT NULL",
            ),
            // Each element of $1 is a run of positions: first and last.
            delete_log: sql(
                "DELETE FROM {ns}outbox WHERE position IN
                 (SELECT o.position FROM json_each($1) r CROSS JOIN {ns}outbox o
                  ON o.position BETWEEN r.value ->> 0 AND r.value ->> 1)",
            ),
            delete_deferred: sql(
                "DELETE FROM {ns}outbox_deferred WHERE position IN (SELECT value FROM json_each($1))",
            ),
            // Each element of $1: position, due at, attempts, reason.
            refuse_log: sql(
                "INSERT INTO {ns}outbox_deferred (shard, topic, key, envelope, payload, blocked, due_at, attempts, reason)
                 SELECT shard, topic, o.key, envelope, payload, 1, r.value ->> 1, r.value ->> 2, r.value ->> 3
                 FROM json_each($1) r JOIN {ns}outbox o ON o.position = r.value ->> 0 ORDER BY o.position",
            ),
            refuse_deferred: sql(
                "UPDATE {ns}outbox_deferred AS h SET blocked = 1, due_at = r.value ->> 1, attempts = r.value ->> 2, reason = r.value ->> 3
                 FROM json_each($1) r WHERE h.position = r.value ->> 0",
            ),
            hold_log: sql(
                "INSERT INTO {ns}outbox_deferred (shard, topic, key, envelope, payload, blocked, due_at)
                 SELECT shard, topic, o.key, envelope, payload, 1, 0
                 FROM json_each($1) r JOIN {ns}outbox o ON o.position = r.value ORDER BY o.position",
            ),
            // A delayed row gets a new position, at the end of its key.
            hold_deferred: sql(
                "INSERT INTO {ns}outbox_deferred (shard, topic, key, envelope, payload, blocked, due_at, attempts)
                 SELECT shard, topic, h.key, envelope, payload, 1, 0, attempts
                 FROM json_each($1) r JOIN {ns}outbox_deferred h ON h.position = r.value ORDER BY h.position",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteOutbox;
    use mainstay_database::sqlite::Database;

    /// SQLite's query plan of a statement, one line per step.
    async fn plan(choose: impl FnOnce(&Statements) -> &SqlStr) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("plan.db"))
            .await
            .unwrap();
        let outbox = SqliteOutbox::builder(&database)
            .namespace(Namespace::prefixed("shop_").unwrap())
            .open()
            .await
            .unwrap();
        let text = choose(&outbox.inner.statements).as_str();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(database.reader())
            .await
            .unwrap();
        steps.into_iter().map(|step| step.3).collect()
    }

    /// The deferred table and the deduplication keys are read by index alone: they may hold very many
    /// rows, and every round of every relay reads them.
    fn reads_by_index(plan: &[String], indexes: &[&str]) {
        for index in indexes {
            assert!(plan.iter().any(|step| step.contains(index)), "{plan:#?}");
        }
        for step in plan {
            let reads_all = step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE");
            let of_blocked_rows = step.contains("USING COVERING INDEX shop_outbox_deferred_by_key");
            // Results of other steps, and the log, which is read in key order up to a limit.
            let of_others = ["SCAN m", "SCAN d", "SCAN (subquery", "SCAN o"]
                .iter()
                .any(|other| step.starts_with(other));
            assert!(
                !reads_all || of_blocked_rows || of_others,
                "{step}: {plan:#?}"
            );
        }
    }

    #[tokio::test]
    async fn old_deduplication_keys_are_found_by_index() {
        let plan = plan(|sql| &sql.prune_keys).await;
        reads_by_index(
            &plan,
            &["shop_outbox_deduplication_keys_by_use (used_at<?)"],
        );
    }

    #[tokio::test]
    async fn due_rows_are_found_by_index() {
        let by_due = "shop_outbox_deferred_by_due (due_at";
        reads_by_index(&plan(|sql| &sql.fetch).await, &[by_due]);
        reads_by_index(&plan(|sql| &sql.summary).await, &[by_due]);
    }
}
