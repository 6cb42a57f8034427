//! The text of every statement, rendered once.

use mainstay_database::{Namespace, sqlite::statement};
use sqlx::SqlStr;

#[derive(Debug)]
pub(super) struct Statements {
    pub(super) layout: SqlStr,
    pub(super) lay_out: SqlStr,
    pub(super) create_shards: SqlStr,
    pub(super) enqueue: SqlStr,
    pub(super) enqueue_set: SqlStr,
    pub(super) hold_set: SqlStr,
    pub(super) use_keys: SqlStr,
    pub(super) forget_keys: SqlStr,
    pub(super) live: SqlStr,
    pub(super) bury: SqlStr,
    pub(super) orphan: SqlStr,
    pub(super) relays: SqlStr,
    pub(super) surrender: SqlStr,
    pub(super) take: SqlStr,
    pub(super) holds: SqlStr,
    pub(super) leave: SqlStr,
    pub(super) give_up: SqlStr,
    pub(super) fetch: SqlStr,
    pub(super) held: SqlStr,
    pub(super) fences: SqlStr,
    pub(super) forget_log: SqlStr,
    pub(super) forget_held: SqlStr,
    pub(super) stop_log: SqlStr,
    pub(super) stop_held: SqlStr,
    pub(super) follow_log: SqlStr,
    pub(super) follow_held: SqlStr,
}

/// Columns of a row of a [`RowSet`](super::row_set::RowSet): shard, topic, key, envelope, payload.
const SET: &str = "r.value ->> 0,
    CAST(substr($2, r.value ->> 1, r.value ->> 2) AS TEXT),
    CASE WHEN r.value ->> 4 >= 0 THEN CAST(substr($2, r.value ->> 3, r.value ->> 4) AS TEXT) END,
    CAST(substr($2, r.value ->> 5, r.value ->> 6) AS TEXT),
    CASE WHEN r.value ->> 8 >= 0 THEN substr($2, r.value ->> 7, r.value ->> 8) END";

/// The first row of each blocked key; a message without key is the first of its own. Read from the index alone.
const HEADS: &str =
    "SELECT min(position) AS position FROM {ns}outbox_deferred INDEXED BY {prefix}outbox_deferred_by_key
    WHERE stopped = 1 GROUP BY topic, key, CASE WHEN key IS NULL THEN position END";

impl Statements {
    #[expect(clippy::too_many_lines, reason = "a list of statements")]
    pub(super) fn new(namespace: &Namespace) -> Self {
        let sql = |text: &str| statement(namespace, text);
        Self {
            layout: sql("SELECT shards, hash FROM {ns}outbox_layout"),
            lay_out: sql("INSERT INTO {ns}outbox_layout (shards, hash) VALUES ($1, $2)"),
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
            hold_set: sql(&format!(
                "INSERT INTO {{ns}}outbox_deferred (shard, topic, key, envelope, payload, stopped, due_at)
                 SELECT {SET}, 0, r.value ->> 9 FROM json_each($1) r ORDER BY r.key"
            )),
            use_keys: sql(
                "INSERT INTO {ns}outbox_deduplication_keys (deduplication_key, used_at)
                 SELECT k.value, $2 FROM json_each($1) k WHERE true ON CONFLICT DO NOTHING RETURNING deduplication_key",
            ),
            forget_keys: sql(
                "DELETE FROM {ns}outbox_deduplication_keys WHERE deduplication_key IN
                 (SELECT deduplication_key FROM {ns}outbox_deduplication_keys WHERE used_at < $1 ORDER BY used_at LIMIT $2)",
            ),
            live: sql(
                "INSERT INTO {ns}outbox_relays (owner, boot_id, lease_until) VALUES ($1, $2, $3)
                 ON CONFLICT (owner) DO UPDATE SET boot_id = excluded.boot_id, lease_until = excluded.lease_until",
            ),
            bury: sql(
                "DELETE FROM {ns}outbox_relays WHERE owner <> $1 AND (boot_id <> $2 OR lease_until <= $3)",
            ),
            orphan: sql(
                "UPDATE {ns}outbox_shards SET owner = NULL
                 WHERE owner IS NOT NULL AND owner NOT IN (SELECT owner FROM {ns}outbox_relays)",
            ),
            relays: sql("SELECT owner FROM {ns}outbox_relays ORDER BY owner"),
            // What is above the fair share goes, what is below it comes, the fence rising with it.
            surrender: sql(
                "UPDATE {ns}outbox_shards SET owner = NULL WHERE shard IN
                 (SELECT shard FROM {ns}outbox_shards WHERE owner = $1 ORDER BY shard LIMIT -1 OFFSET $2)",
            ),
            take: sql(
                "UPDATE {ns}outbox_shards SET owner = $1, fence = fence + 1 WHERE shard IN
                 (SELECT shard FROM {ns}outbox_shards WHERE owner IS NULL ORDER BY shard
                  LIMIT max(0, $2 - (SELECT count(*) FROM {ns}outbox_shards WHERE owner = $1)))",
            ),
            holds: sql("SELECT shard, fence FROM {ns}outbox_shards WHERE owner = $1 ORDER BY shard"),
            leave: sql("DELETE FROM {ns}outbox_relays WHERE owner = $1"),
            give_up: sql("UPDATE {ns}outbox_shards SET owner = NULL WHERE owner = $1"),
            // One statement, one snapshot: the deferred table first, it is empty on a good day; then the log.
            // A blocked key is served when its head is due, whatever its other rows say. The indexes are named: delayed
            // rows and followers are kept by the hundred thousand, and SQLite thinks too little of a partial index.
            // Columns: kind (see `rows::place`), position, attempts, topic, key, envelope, payload.
            fetch: sql(&format!(
                "WITH due AS MATERIALIZED (
                   SELECT f.topic, f.key, f.position FROM ({HEADS}) m CROSS JOIN {{ns}}outbox_deferred f ON f.position = m.position
                   WHERE f.due_at <= $3 AND f.shard IN (SELECT value FROM json_each($1)))
                 SELECT * FROM (
                   SELECT 2 + EXISTS (SELECT 1 FROM {{ns}}outbox_deferred s WHERE s.stopped = 1 AND s.topic = h.topic AND s.key = h.key),
                          position, attempts, topic, key, envelope, payload
                   FROM {{ns}}outbox_deferred h INDEXED BY {{prefix}}outbox_deferred_by_due
                   WHERE h.stopped = 0 AND h.due_at <= $3 AND h.shard IN (SELECT value FROM json_each($1))
                   ORDER BY h.due_at, h.position LIMIT $2)
                 UNION ALL
                 SELECT * FROM (
                   SELECT 4, h.position, attempts, h.topic, h.key, envelope, payload
                   FROM due d CROSS JOIN {{ns}}outbox_deferred h INDEXED BY {{prefix}}outbox_deferred_by_key
                     ON h.stopped = 1 AND h.topic = d.topic AND h.key IS d.key AND (d.key IS NOT NULL OR h.position = d.position)
                   ORDER BY h.position LIMIT $2)
                 UNION ALL
                 SELECT * FROM (
                   SELECT EXISTS (SELECT 1 FROM {{ns}}outbox_deferred WHERE stopped = 1) AND
                          EXISTS (SELECT 1 FROM {{ns}}outbox_deferred s WHERE s.stopped = 1 AND s.topic = o.topic AND s.key = o.key),
                          position, 0, topic, key, envelope, payload
                   FROM {{ns}}outbox o WHERE o.shard IN (SELECT value FROM json_each($1))
                   ORDER BY position LIMIT $2)",
            )),
            // When the next delayed row and the next head of a blocked key fall due, and how many keys are stopped.
            held: sql(&format!(
                "SELECT (SELECT due_at FROM {{ns}}outbox_deferred INDEXED BY {{prefix}}outbox_deferred_by_due
                         WHERE stopped = 0 AND due_at > $2 AND shard IN (SELECT value FROM json_each($1))
                         ORDER BY due_at LIMIT 1),
                        min(f.due_at) FILTER (WHERE f.due_at > $2), count(*)
                 FROM ({HEADS}) m CROSS JOIN {{ns}}outbox_deferred f ON f.position = m.position
                 WHERE f.shard IN (SELECT value FROM json_each($1))",
            )),
            fences: sql(
                "SELECT count(*) FROM json_each($1) h JOIN {ns}outbox_shards s
                 ON s.shard = h.value ->> 0 AND s.fence = h.value ->> 1 WHERE s.owner IS NOT NULL",
            ),
            // Each element of $1 is a run of positions, first and last.
            forget_log: sql(
                "DELETE FROM {ns}outbox WHERE position IN
                 (SELECT o.position FROM json_each($1) r CROSS JOIN {ns}outbox o
                  ON o.position BETWEEN r.value ->> 0 AND r.value ->> 1)",
            ),
            forget_held: sql(
                "DELETE FROM {ns}outbox_deferred WHERE position IN (SELECT value FROM json_each($1))",
            ),
            // Each element of $1: position, due at, attempts, reason.
            stop_log: sql(
                "INSERT INTO {ns}outbox_deferred (shard, topic, key, envelope, payload, stopped, due_at, attempts, reason)
                 SELECT shard, topic, o.key, envelope, payload, 1, r.value ->> 1, r.value ->> 2, r.value ->> 3
                 FROM json_each($1) r JOIN {ns}outbox o ON o.position = r.value ->> 0 ORDER BY o.position",
            ),
            stop_held: sql(
                "UPDATE {ns}outbox_deferred AS h SET stopped = 1, due_at = r.value ->> 1, attempts = r.value ->> 2, reason = r.value ->> 3
                 FROM json_each($1) r WHERE h.position = r.value ->> 0",
            ),
            follow_log: sql(
                "INSERT INTO {ns}outbox_deferred (shard, topic, key, envelope, payload, stopped, due_at)
                 SELECT shard, topic, o.key, envelope, payload, 1, 0
                 FROM json_each($1) r JOIN {ns}outbox o ON o.position = r.value ORDER BY o.position",
            ),
            // A delayed row gets a new position: the end of its key.
            follow_held: sql(
                "INSERT INTO {ns}outbox_deferred (shard, topic, key, envelope, payload, stopped, due_at, attempts)
                 SELECT shard, topic, h.key, envelope, payload, 1, 0, attempts
                 FROM json_each($1) r JOIN {ns}outbox_deferred h ON h.position = r.value ORDER BY h.position",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Options, SqliteOutbox};
    use mainstay_database::sqlite::Database;

    /// How SQLite goes about a statement, one line per step.
    async fn plan(choose: impl FnOnce(&Statements) -> &SqlStr) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("plan.db"))
            .await
            .unwrap();
        let options = Options {
            namespace: Namespace::prefixed("shop_").unwrap(),
            ..Options::default()
        };
        let outbox = SqliteOutbox::open(database.clone(), options).await.unwrap();
        let text = choose(&outbox.inner.statements).as_str();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(database.reader())
            .await
            .unwrap();
        steps.into_iter().map(|step| step.3).collect()
    }

    /// The deferred table and the deduplication keys are read by index alone: delayed messages and keys are kept by the hundred
    /// thousand, and every round of every relay goes past them.
    fn reads_by_index(plan: &[String], indexes: &[&str]) {
        for index in indexes {
            assert!(plan.iter().any(|step| step.contains(index)), "{plan:#?}");
        }
        for step in plan {
            let reads_all = step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE");
            let of_stopped_rows = step.contains("USING COVERING INDEX shop_outbox_deferred_by_key");
            // Results of other steps, and the log, which is read in the order of its key up to a limit.
            let of_others = ["SCAN m", "SCAN d", "SCAN (subquery", "SCAN o"]
                .iter()
                .any(|other| step.starts_with(other));
            assert!(
                !reads_all || of_stopped_rows || of_others,
                "{step}: {plan:#?}"
            );
        }
    }

    #[tokio::test]
    async fn deduplication_keys_are_forgotten_by_their_age() {
        let plan = plan(|sql| &sql.forget_keys).await;
        reads_by_index(
            &plan,
            &["shop_outbox_deduplication_keys_by_use (used_at<?)"],
        );
    }

    #[tokio::test]
    async fn delayed_rows_are_read_by_their_due_time() {
        let by_due = "shop_outbox_deferred_by_due (due_at";
        reads_by_index(&plan(|sql| &sql.fetch).await, &[by_due]);
        reads_by_index(&plan(|sql| &sql.held).await, &[by_due]);
    }
}
