//! The text of every statement, rendered once.

use mainstay_database::{Namespace, sqlite::statement};
use sqlx::SqlStr;

use crate::store::MOST_COUNTED;

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
    pub(super) duties: SqlStr,
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
    pub(super) heads: SqlStr,
    pub(super) of_key: SqlStr,
    pub(super) all_deferred: SqlStr,
    pub(super) first_of_key: SqlStr,
    pub(super) envelope_of: SqlStr,
    pub(super) due_now: SqlStr,
    pub(super) discard: SqlStr,
    pub(super) acts: SqlStr,
    pub(super) discarded: SqlStr,
    pub(super) log_act: SqlStr,
}

/// Columns of a row of a [`RowSet`](super::row_set::RowSet): shard, topic, key, envelope, payload.
const SET: &str = "r.value ->> 0,
    CAST(substr($2, r.value ->> 1, r.value ->> 2) AS TEXT),
    CASE WHEN r.value ->> 4 >= 0 THEN CAST(substr($2, r.value ->> 3, r.value ->> 4) AS TEXT) END,
    CAST(substr($2, r.value ->> 5, r.value ->> 6) AS TEXT),
    CASE WHEN r.value ->> 8 >= 0 THEN substr($2, r.value ->> 7, r.value ->> 8) END";

/// A row of the deferred table `d` as operators see it. Parameter 3 bounds the count of what is held behind it.
const SHOWN: &str = "d.position, d.topic, d.key, d.envelope,
    length(CAST(d.envelope AS BLOB)) + coalesce(length(d.payload), 0), d.blocked, d.head,
    CASE WHEN d.head = 1 AND d.key IS NOT NULL THEN (SELECT count(*) FROM (
      SELECT 1 FROM {ns}outbox_deferred h INDEXED BY {prefix}outbox_deferred_by_key
      WHERE h.blocked = 1 AND h.topic = d.topic AND h.key = d.key AND h.position > d.position LIMIT $3 + 0)) ELSE 0 END,
    d.due_at, d.attempts, d.reason";

/// Whether the key of `o` is blocked. SQLite underestimates partial indexes, so they are named wherever the
/// deferred table is read: it may hold very many rows.
const BLOCKED: &str = "EXISTS (SELECT 1 FROM {ns}outbox_deferred INDEXED BY {prefix}outbox_deferred_heads WHERE head = 1) AND
    EXISTS (SELECT 1 FROM {ns}outbox_deferred s INDEXED BY {prefix}outbox_deferred_by_key
            WHERE s.blocked = 1 AND s.topic = o.topic AND s.key = o.key)";

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
                 (SELECT deduplication_key FROM {ns}outbox_deduplication_keys WHERE used_at < $1 ORDER BY used_at LIMIT $2 + 0)",
            ),
            renew_relay: sql(
                "INSERT INTO {ns}outbox_relays (owner, boot_id, lease_until) VALUES ($1, $2, $3)
                 ON CONFLICT (owner) DO UPDATE SET boot_id = excluded.boot_id, lease_until = excluded.lease_until",
            ),
            // Whether a relay has died or a shard is free, and whether a deduplication key is old.
            duties: sql(
                "SELECT EXISTS (SELECT 1 FROM {ns}outbox_relays WHERE owner <> $1 AND (boot_id <> $2 OR lease_until <= $3))
                     OR EXISTS (SELECT 1 FROM {ns}outbox_shards
                                WHERE owner IS NULL OR owner NOT IN (SELECT owner FROM {ns}outbox_relays)),
                   coalesce((SELECT min(used_at) FROM {ns}outbox_deduplication_keys) < $4, false)",
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
            // One statement, so one snapshot: the due rows of the deferred table, then the log. All rows of a
            // blocked key are due when its head is. Keys that are due share the limit.
            // Columns: kind (see `rows::row_ref`), position, attempts, topic, key, envelope, payload.
            fetch: sql(&format!(
                "WITH delayed AS MATERIALIZED (
                   SELECT h.position FROM json_each($1) o CROSS JOIN {{ns}}outbox_deferred h ON h.position IN
                     (SELECT position FROM {{ns}}outbox_deferred INDEXED BY {{prefix}}outbox_deferred_by_due
                      WHERE blocked = 0 AND shard = o.value AND due_at <= $3 ORDER BY due_at LIMIT $2 + 0)
                   ORDER BY h.due_at, h.position LIMIT $2 + 0),
                 due AS MATERIALIZED (
                   SELECT h.position, h.topic, h.key FROM json_each($1) o CROSS JOIN {{ns}}outbox_deferred h ON h.position IN
                     (SELECT position FROM {{ns}}outbox_deferred INDEXED BY {{prefix}}outbox_deferred_heads
                      WHERE head = 1 AND shard = o.value AND due_at <= $3 ORDER BY due_at LIMIT $2 + 0)
                   ORDER BY h.due_at, h.position LIMIT $2 + 0),
                 parts AS MATERIALIZED (
                   SELECT topic, key, position AS first, CASE WHEN key IS NULL THEN position ELSE coalesce(
                     (SELECT n.position FROM {{ns}}outbox_deferred n INDEXED BY {{prefix}}outbox_deferred_by_key
                      WHERE n.blocked = 1 AND n.topic = due.topic AND n.key = due.key
                      ORDER BY n.position LIMIT 1 OFFSET $2 / (SELECT count(*) FROM due) - 1), {LAST}) END AS last
                   FROM due)
                 SELECT * FROM (
                   SELECT 2 + ({BLOCKED}), o.position, attempts, topic, key, envelope, payload
                   FROM delayed d CROSS JOIN {{ns}}outbox_deferred o ON o.position = d.position)
                 UNION ALL
                 SELECT * FROM (
                   SELECT 4, h.position, attempts, h.topic, h.key, envelope, payload
                   FROM parts p CROSS JOIN {{ns}}outbox_deferred h INDEXED BY {{prefix}}outbox_deferred_by_key
                     ON h.blocked = 1 AND h.topic = p.topic AND h.key IS p.key AND h.position BETWEEN p.first AND p.last
                   ORDER BY h.position)
                 UNION ALL
                 SELECT * FROM (
                   SELECT {BLOCKED}, position, 0, topic, key, envelope, payload
                   FROM {{ns}}outbox o WHERE o.shard IN (SELECT value FROM json_each($1))
                     AND o.position NOT IN (SELECT value FROM json_each($4))
                   ORDER BY position LIMIT $2 + 0)",
                LAST = i64::MAX
            )),
            // When the next delayed row and the next head of a blocked key are due, and how many keys are blocked.
            summary: sql(&format!(
                "SELECT min((SELECT due_at FROM {{ns}}outbox_deferred INDEXED BY {{prefix}}outbox_deferred_by_due
                             WHERE blocked = 0 AND shard = o.value AND due_at > $2 ORDER BY due_at LIMIT 1)),
                        min((SELECT due_at FROM {{ns}}outbox_deferred INDEXED BY {{prefix}}outbox_deferred_heads
                             WHERE head = 1 AND shard = o.value AND due_at > $2 ORDER BY due_at LIMIT 1)),
                        (SELECT count(*) FROM (
                           SELECT 1 FROM json_each($1) s CROSS JOIN {{ns}}outbox_deferred h INDEXED BY {{prefix}}outbox_deferred_heads
                             ON h.head = 1 AND h.shard = s.value LIMIT {MOST_COUNTED}))
                 FROM json_each($1) o",
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
            heads: sql(&format!(
                "SELECT {SHOWN} FROM {{ns}}outbox_deferred d INDEXED BY {{prefix}}outbox_deferred_heads
                 WHERE d.head = 1 AND d.position > $1 ORDER BY d.position LIMIT $2 + 0"
            )),
            of_key: sql(&format!(
                "SELECT {SHOWN} FROM {{ns}}outbox_deferred d INDEXED BY {{prefix}}outbox_deferred_by_key
                 WHERE d.blocked = 1 AND d.topic = $4 AND d.key = $5 AND d.position > $1 ORDER BY d.position LIMIT $2 + 0"
            )),
            all_deferred: sql(&format!(
                "SELECT {SHOWN} FROM {{ns}}outbox_deferred d WHERE d.position > $1 ORDER BY d.position LIMIT $2 + 0"
            )),
            first_of_key: sql(
                "SELECT CASE WHEN d.blocked = 1 AND d.key IS NOT NULL THEN (
                   SELECT min(h.position) FROM {ns}outbox_deferred h INDEXED BY {prefix}outbox_deferred_by_key
                   WHERE h.blocked = 1 AND h.topic = d.topic AND h.key = d.key) END
                 FROM {ns}outbox_deferred d WHERE d.position = $1",
            ),
            envelope_of: sql("SELECT CAST(envelope AS BLOB) FROM {ns}outbox_deferred WHERE position = $1"),
            due_now: sql("UPDATE {ns}outbox_deferred SET due_at = $2 WHERE position = $1"),
            discard: sql("DELETE FROM {ns}outbox_deferred WHERE position = $1"),
            log_act: sql(
                "INSERT INTO {ns}outbox_acts (at, operator, reason, act, topic, key, message_id, refusal, envelope, payload)
                 SELECT $2, $3, $4, $5, topic, key, $6, reason,
                        CASE WHEN $5 = 'discard' THEN envelope END, CASE WHEN $5 = 'discard' THEN payload END
                 FROM {ns}outbox_deferred WHERE position = $1",
            ),
            acts: sql(
                "SELECT id, at, operator, reason, act, topic, key, message_id, refusal FROM {ns}outbox_acts
                 WHERE id < $1 ORDER BY id DESC LIMIT $2 + 0",
            ),
            discarded: sql(
                "SELECT topic, key, envelope, payload FROM {ns}outbox_acts WHERE id = $1 AND envelope IS NOT NULL",
            ),
        }
    }
}
