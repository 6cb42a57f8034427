//! The text of every statement, rendered once.

use mainstay_database::{Namespace, postgres::statement};
use sqlx::SqlStr;

use super::log_only::{FETCH_LOG, OF_ONE_SHARD, OF_SHARDS};
use crate::store::MOST_COUNTED;

#[derive(Debug)]
pub(super) struct Statements {
    pub(super) begin_layout: SqlStr,
    pub(super) begin_lease: SqlStr,
    pub(super) take_turn: SqlStr,
    pub(super) begin_fetch: SqlStr,
    pub(super) begin_acknowledge: SqlStr,
    pub(super) begin_rows: SqlStr,
    pub(super) layout: SqlStr,
    pub(super) create_layout: SqlStr,
    pub(super) enqueue: SqlStr,
    pub(super) enqueue_set: SqlStr,
    pub(super) defer_set: SqlStr,
    pub(super) use_keys: SqlStr,
    pub(super) prune_keys: SqlStr,
    pub(super) renew_relay: SqlStr,
    pub(super) remove_dead_relays: SqlStr,
    pub(super) relays: SqlStr,
    pub(super) divide: SqlStr,
    pub(super) remove_relay: SqlStr,
    pub(super) fetch: SqlStr,
    pub(super) fetch_log: SqlStr,
    pub(super) fetch_log_of_one_shard: SqlStr,
    pub(super) acknowledge: SqlStr,
    pub(super) record: SqlStr,
    pub(super) heads: SqlStr,
    pub(super) of_key: SqlStr,
    pub(super) all_deferred: SqlStr,
    pub(super) first_of_key: SqlStr,
    pub(super) envelope_of: SqlStr,
    pub(super) due_now: SqlStr,
    pub(super) discard: SqlStr,
    pub(super) acts: SqlStr,
    pub(super) discarded: SqlStr,
}

/// There is only a round trip between two statements. A relay that is suspended there holds locks that
/// the next owner waits for, however short its lease is, so the server ends its transaction.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
    SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s'";

const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; \
    SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// For statements on the log. After a vacuum of an empty log, PostgreSQL plans to read it from end to end
/// and keeps that plan while a million rows come in. Its only index is always right.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off";

/// A fencing token that a crash of the server forgets would be given out twice. A lease is therefore on
/// disk when the call returns, whatever the server's or the role's setting.
const ON_DISK: &str = "SELECT set_config('synchronous_commit', 'on', true) \
    WHERE current_setting('synchronous_commit') = 'off'";

/// Microseconds since 1970 by the server, the same throughout a statement.
const NOW: &str = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint";

/// The current time: a statement that waited for a lock began long ago.
const THIS_MOMENT: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// Whether all fencing tokens of $1, $2 are current. The share lock makes a takeover wait, or sees it: a
/// row that changed after the statement's snapshot is read again once it is locked. EXISTS would read
/// the snapshot.
const FENCES: &str = "fences AS MATERIALIZED (
       SELECT s.shard FROM unnest($1::int4[], $2::int8[]) f(shard, fence)
       JOIN {ns}outbox_shards s ON s.shard = f.shard AND s.fence = f.fence
       WHERE s.owner IS NOT NULL FOR SHARE OF s
     ), valid AS MATERIALIZED (SELECT count(*) = cardinality($1) AS valid FROM fences)";

/// Deletes the runs of $3, $4, $5. Each is found by the index, whatever size the planner assumes.
const DELETE_LOG: &str = "deleted AS (
       DELETE FROM {ns}outbox WHERE (SELECT valid FROM valid) AND ctid = ANY (ARRAY(
         SELECT o.ctid FROM unnest($3::int4[], $4::int8[], $5::int8[]) r(shard, first, last)
         CROSS JOIN LATERAL (SELECT ctid FROM {ns}outbox
           WHERE shard = r.shard AND position BETWEEN r.first AND r.last OFFSET 0) o)))";

impl Statements {
    #[expect(clippy::too_many_lines, reason = "a list of statements")]
    pub(super) fn new(namespace: &Namespace) -> Self {
        let sql = |text: &str| statement(namespace, text);
        let of_log = |log| sql(&FETCH_LOG.replace("{size}", SIZE).replace("{log}", log));
        Self {
            begin_layout: sql(BEGIN),
            begin_lease: sql(&format!("{BEGIN}; {ON_DISK}")),
            // Relays divide the shards one after the other. It is not part of BEGIN: if that failed, the
            // driver would return the connection to the pool with its transaction open.
            take_turn: sql(
                "SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}outbox_relays', 0))",
            ),
            begin_fetch: sql(&format!("{BEGIN_READING}; {BY_INDEX}")),
            begin_acknowledge: sql(&format!(
                "{BEGIN}; {BY_INDEX}; SET LOCAL synchronous_commit = off"
            )),
            begin_rows: sql(&format!("{BEGIN}; {BY_INDEX}")),
            layout: sql("SELECT shards, hash FROM {ns}outbox_layout"),
            create_layout: sql(
                "WITH created AS (
                   INSERT INTO {ns}outbox_layout (shards, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING shards)
                 INSERT INTO {ns}outbox_shards (shard) SELECT generate_series(0, shards - 1) FROM created",
            ),
            enqueue: sql(
                "INSERT INTO {ns}outbox (shard, topic, key, envelope, payload) VALUES ($1, $2, $3, $4, $5)",
            ),
            enqueue_set: sql(
                "INSERT INTO {ns}outbox (shard, topic, key, envelope, payload)
                 SELECT shard, topic, key, envelope, payload
                 FROM unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::bytea[])
                      WITH ORDINALITY r(shard, topic, key, envelope, payload, n) ORDER BY n",
            ),
            defer_set: sql(&format!(
                "INSERT INTO {{ns}}outbox_deferred (shard, topic, key, envelope, payload, blocked, due_at)
                 SELECT shard, topic, key, envelope, payload, false, {NOW} + delay
                 FROM unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::int8[])
                      WITH ORDINALITY r(shard, topic, key, envelope, payload, delay, n) ORDER BY n"
            )),
            // In one order, so that two transactions that use the same keys do not deadlock.
            use_keys: sql(&format!(
                "INSERT INTO {{ns}}outbox_deduplication_keys (deduplication_key, used_at)
                 SELECT deduplication_key, {NOW} FROM unnest($1::text[]) k(deduplication_key) ORDER BY deduplication_key
                 ON CONFLICT DO NOTHING RETURNING deduplication_key"
            )),
            prune_keys: sql(&format!(
                "DELETE FROM {{ns}}outbox_deduplication_keys WHERE deduplication_key IN
                 (SELECT deduplication_key FROM {{ns}}outbox_deduplication_keys WHERE used_at < {NOW} - $1
                  ORDER BY used_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
            )),
            renew_relay: sql(&format!(
                "INSERT INTO {{ns}}outbox_relays (owner, lease_until) VALUES ($1, {THIS_MOMENT} + $2)
                 ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until"
            )),
            remove_dead_relays: sql(&format!(
                "WITH this AS MATERIALIZED (SELECT {THIS_MOMENT} AS moment),
                 dead AS (DELETE FROM {{ns}}outbox_relays WHERE owner <> $1 AND lease_until <= (SELECT moment FROM this))
                 UPDATE {{ns}}outbox_shards SET owner = NULL WHERE owner IS NOT NULL AND owner NOT IN
                 (SELECT owner FROM {{ns}}outbox_relays WHERE owner = $1 OR lease_until > (SELECT moment FROM this))"
            )),
            // How many relays there are, how many of them come before this one, and whether a deduplication
            // key is old.
            relays: sql(&format!(
                "SELECT count(*), count(*) FILTER (WHERE owner < $1),
                   coalesce((SELECT min(used_at) FROM {{ns}}outbox_deduplication_keys) < {NOW} - $2, false)
                 FROM {{ns}}outbox_relays"
            )),
            // Gives up shards above the fair share and takes shards up to it with the next fencing token.
            divide: sql(
                "WITH mine AS (
                   SELECT shard, fence, row_number() OVER (ORDER BY shard) AS n FROM {ns}outbox_shards WHERE owner = $1),
                 given_up AS (
                   UPDATE {ns}outbox_shards SET owner = NULL WHERE shard IN (SELECT shard FROM mine WHERE n > $2)),
                 taken AS (
                   UPDATE {ns}outbox_shards SET owner = $1, fence = fence + 1 WHERE shard IN
                     (SELECT shard FROM {ns}outbox_shards WHERE owner IS NULL ORDER BY shard
                      LIMIT greatest(0, $2 - (SELECT count(*) FROM mine)))
                   RETURNING shard, fence)
                 SELECT shard, fence FROM mine WHERE n <= $2 UNION ALL SELECT shard, fence FROM taken ORDER BY shard",
            ),
            remove_relay: sql(
                "WITH gone AS (DELETE FROM {ns}outbox_relays WHERE owner = $1)
                 UPDATE {ns}outbox_shards SET owner = NULL WHERE owner = $1",
            ),
            // One statement, so one snapshot: the state of the deferred table, its due rows, then the log.
            // All rows of a blocked key are due when its head is. Keys that are due share the limit.
            // Columns: kind (see `rows::row_ref`), position, shard, attempts, topic, key, envelope, payload, and
            // how many rows there are with those beyond the limit of bytes.
            fetch: sql(&format!(
                "WITH due AS MATERIALIZED (
                   SELECT d.* FROM unnest($1::int4[]) o(shard) CROSS JOIN LATERAL
                     (SELECT position, topic, key, due_at FROM {{ns}}outbox_deferred
                      WHERE head AND shard = o.shard AND due_at <= {NOW} ORDER BY due_at LIMIT $2) d
                   ORDER BY d.due_at, d.position LIMIT $2)
                 SELECT kind, position, shard, attempts, topic, key, envelope, payload, found FROM (
                   SELECT r.*, sum(size) OVER (ORDER BY section, position ROWS UNBOUNDED PRECEDING) AS total,
                          count(*) OVER () AS found
                   FROM (
                     SELECT 0 AS section, 9 AS kind,
                            least((SELECT min(n.due_at) FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
                                    (SELECT due_at FROM {{ns}}outbox_deferred
                                     WHERE NOT blocked AND shard = h.shard AND due_at > {NOW} ORDER BY due_at LIMIT 1) n),
                                  (SELECT min(n.due_at) FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
                                    (SELECT due_at FROM {{ns}}outbox_deferred
                                     WHERE head AND shard = h.shard AND due_at > {NOW} ORDER BY due_at LIMIT 1) n)) - {NOW} AS position,
                            0 AS shard,
                            (SELECT count(*)::int4 FROM (
                               SELECT FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
                                 (SELECT FROM {{ns}}outbox_deferred
                                  WHERE head AND shard = h.shard ORDER BY due_at LIMIT {MOST_COUNTED}) n
                               LIMIT {MOST_COUNTED}) n) AS attempts,
                            NULL AS topic, NULL AS key, NULL AS envelope, NULL::bytea AS payload, 0 AS size
                     UNION ALL
                     SELECT * FROM (
                       SELECT 1, CASE WHEN {BLOCKED} THEN 3 ELSE 2 END,
                              position, o.shard, attempts, topic, key, envelope, payload, {SIZE}
                       FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
                         (SELECT * FROM {{ns}}outbox_deferred
                          WHERE NOT blocked AND shard = h.shard AND due_at <= {NOW} ORDER BY due_at LIMIT $2) o
                       ORDER BY o.due_at LIMIT $2) delayed
                     UNION ALL
                     SELECT 2, 4, position, shard, attempts, topic, key, envelope, payload, {SIZE}
                     FROM (SELECT h.* FROM due CROSS JOIN LATERAL
                       (SELECT * FROM {{ns}}outbox_deferred WHERE due.key IS NULL AND position = due.position UNION ALL
                        (SELECT * FROM {{ns}}outbox_deferred
                         WHERE blocked AND topic = due.topic AND key >= due.key AND key <= due.key
                         ORDER BY key, position LIMIT (SELECT $2 / count(*) FROM due))) h) blocked
                     UNION ALL
                     SELECT 3, CASE WHEN {BLOCKED} THEN 1 ELSE 0 END,
                            position, shard, 0, topic, key, envelope, payload, {SIZE}
                     FROM (
                       SELECT o.* FROM unnest($1::int4[]) h(shard) CROSS JOIN LATERAL
                         (SELECT * FROM {{ns}}outbox WHERE shard = h.shard AND position NOT IN (SELECT unnest($4::int8[]))
                          ORDER BY position LIMIT $2) o
                       ORDER BY o.position LIMIT $2) o
                   ) r
                 ) r WHERE total <= $3 OR total = size ORDER BY section, position"
            )),
            fetch_log: of_log(OF_SHARDS),
            fetch_log_of_one_shard: of_log(OF_ONE_SHARD),
            acknowledge: sql(&format!(
                "WITH {FENCES}, {DELETE_LOG} SELECT valid FROM valid"
            )),
            // $6: acknowledged rows of the deferred table. $7 to $12: moves, see `rows::Moves`. A row is put
            // into the deferred table if this statement deleted it, not if the snapshot shows it: an earlier
            // attempt to record the same outcome may still be running.
            record: sql(&format!(
                "WITH {FENCES}, {DELETE_LOG},
                 moves AS MATERIALIZED (
                   SELECT * FROM unnest($7::int4[], $8::int4[], $9::int8[], $10::int8[], $11::int4[], $12::text[])
                          m(rank, shard, position, delay, attempts, reason)
                   WHERE (SELECT valid FROM valid)),
                 from_log AS MATERIALIZED (
                   SELECT m.rank, m.delay, m.attempts, m.reason, o.*
                   FROM moves m CROSS JOIN LATERAL
                     (SELECT ctid AS tuple, * FROM {{ns}}outbox WHERE shard = m.shard AND position = m.position OFFSET 0) o
                   WHERE m.rank IN (0, 1)),
                 taken_from_log AS (
                   DELETE FROM {{ns}}outbox WHERE ctid = ANY (ARRAY(SELECT tuple FROM from_log))
                   RETURNING shard, position),
                 taken_from_deferred AS (
                   DELETE FROM {{ns}}outbox_deferred h USING moves m WHERE m.rank = 2 AND h.position = m.position
                   RETURNING m.rank, m.delay, h.attempts, m.reason, h.position, h.shard, h.topic, h.key, h.envelope, h.payload),
                 done AS (
                   DELETE FROM {{ns}}outbox_deferred WHERE (SELECT valid FROM valid) AND position = ANY ($6)),
                 refused_again AS (
                   UPDATE {{ns}}outbox_deferred h
                   SET blocked = true, due_at = {NOW} + m.delay, attempts = m.attempts, reason = m.reason
                   FROM moves m WHERE m.rank = 3 AND h.position = m.position),
                 put AS (
                   INSERT INTO {{ns}}outbox_deferred (shard, topic, key, envelope, payload, blocked, due_at, attempts, reason)
                   SELECT shard, topic, key, envelope, payload, true,
                          CASE WHEN rank = 0 THEN {NOW} + delay ELSE 0 END, attempts, reason
                   FROM (SELECT rank, delay, attempts, reason, position, shard, topic, key, envelope, payload
                         FROM from_log JOIN taken_from_log USING (shard, position)
                         UNION ALL SELECT * FROM taken_from_deferred) r
                   ORDER BY rank, position)
                 SELECT valid FROM valid"
            )),
            heads: sql(&format!(
                "SELECT {SHOWN} FROM {{ns}}outbox_deferred d WHERE d.head AND d.position > $1 ORDER BY d.position LIMIT $2"
            )),
            of_key: sql(&format!(
                "SELECT {SHOWN} FROM {{ns}}outbox_deferred d
                 WHERE d.blocked AND d.topic = $4 AND d.key >= $5 AND d.key <= $5 AND d.position > $1
                 ORDER BY d.key, d.position LIMIT $2"
            )),
            all_deferred: sql(&format!(
                "SELECT {SHOWN} FROM {{ns}}outbox_deferred d WHERE d.position > $1 ORDER BY d.position LIMIT $2"
            )),
            first_of_key: sql(
                "SELECT CASE WHEN d.blocked AND d.key IS NOT NULL THEN (
                   SELECT h.position FROM {ns}outbox_deferred h
                   WHERE h.blocked AND h.topic = d.topic AND h.key >= d.key AND h.key <= d.key
                   ORDER BY h.key, h.position LIMIT 1) END
                 FROM {ns}outbox_deferred d WHERE d.position = $1",
            ),
            envelope_of: sql(
                "SELECT envelope FROM {ns}outbox_deferred WHERE position = $1 FOR NO KEY UPDATE",
            ),
            due_now: sql(&format!(
                "WITH due AS (
                   UPDATE {{ns}}outbox_deferred SET due_at = {NOW} WHERE position = $1 RETURNING topic, key, reason)
                 INSERT INTO {{ns}}outbox_acts (at, operator, reason, act, topic, key, message_id, refusal)
                 SELECT {NOW}, $2, $3, 'retry', topic, key, $4, reason FROM due"
            )),
            discard: sql(&format!(
                "WITH gone AS (
                   DELETE FROM {{ns}}outbox_deferred WHERE position = $1 RETURNING topic, key, reason, envelope, payload)
                 INSERT INTO {{ns}}outbox_acts (at, operator, reason, act, topic, key, message_id, refusal, envelope, payload)
                 SELECT {NOW}, $2, $3, 'discard', topic, key, $4, reason, envelope, payload FROM gone"
            )),
            acts: sql(
                "SELECT id, at, operator, reason, act, topic, key, message_id, refusal FROM {ns}outbox_acts
                 WHERE id < $1 ORDER BY id DESC LIMIT $2",
            ),
            discarded: sql(
                "SELECT topic, key, envelope, payload FROM {ns}outbox_acts WHERE id = $1 AND envelope IS NOT NULL",
            ),
        }
    }
}

/// Whether the key of `o` is blocked. An order by key leaves the planner only the index of blocked keys, which
/// an equality would not: where most rows are of one key, it believes that any index finds one soon.
const BLOCKED: &str = "o.key IS NOT NULL
    AND coalesce((SELECT true FROM {ns}outbox_deferred WHERE head ORDER BY shard, due_at LIMIT 1), false)
    AND (SELECT true FROM {ns}outbox_deferred s
         WHERE s.blocked AND s.topic = o.topic AND s.key >= o.key AND s.key <= o.key ORDER BY s.key, s.position LIMIT 1)";

/// A row of the deferred table `d` as operators see it. Parameter 3 bounds the count of what is held behind it.
const SHOWN: &str = "d.position, d.topic, d.key, d.envelope,
    (octet_length(d.envelope) + coalesce(octet_length(d.payload), 0))::int8, d.blocked, d.head,
    CASE WHEN d.head AND d.key IS NOT NULL THEN (SELECT count(*) FROM (
      SELECT FROM {ns}outbox_deferred h
      WHERE h.blocked AND h.topic = d.topic AND h.key >= d.key AND h.key <= d.key AND h.position > d.position
      ORDER BY h.key, h.position LIMIT $3) n) ELSE 0 END,
    d.due_at, d.attempts, d.reason";

/// Bytes of a row, computed without reading values that are stored out of line.
const SIZE: &str = "octet_length(topic) + coalesce(octet_length(key), 0) + octet_length(envelope)
    + coalesce(octet_length(payload), 0)";

/// The begin of a transaction that only reads.
pub(super) fn begin_reading() -> SqlStr {
    SqlStr::from_static(BEGIN_READING)
}

/// PostgreSQL happens to read a set in order without promising it, so running it proves nothing.
#[test]
fn batches_are_written_in_the_order_of_their_entries() {
    let statements = Statements::new(&Namespace::plain());
    for set in [statements.enqueue_set, statements.defer_set] {
        let text = set.as_str();
        assert!(
            text.contains("WITH ORDINALITY") && text.ends_with("ORDER BY n"),
            "{text}"
        );
    }
}
