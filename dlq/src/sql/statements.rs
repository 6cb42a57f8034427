//! The statements.

use mainstay_database::Namespace;
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// What differs between the databases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// The database's time in microseconds since 1970.
    pub(crate) now: &'static str,
    /// Begins a transaction that reads one snapshot.
    pub(crate) begin_snapshot: &'static str,
    /// Of the transaction.
    pub(crate) isolation: &'static str,
    /// The rows of a JSON array: what stands before, in and behind the parentheses.
    pub(crate) each: [&'static str; 3],
    /// The rows of the JSON array $2 as `r`, in their order, with the clause that orders them.
    pub(crate) ordered: &'static str,
    /// That a value is among the rows of a query: what stands before and behind it.
    pub(crate) among: [&'static str; 2],
    /// Bytes of a hexadecimal text: what stands before and behind it.
    pub(crate) unhex: [&'static str; 2],
    /// `FOR KEY SHARE` of the rows of a blocked key.
    pub(crate) share: &'static str,
    /// `FOR UPDATE`.
    pub(crate) lock: &'static str,
    /// `FOR UPDATE SKIP LOCKED`.
    pub(crate) skip: &'static str,
}

impl Dialect {
    fn render(&self, namespace: &Namespace, text: &str) -> SqlStr {
        let [each, json, value] = self.each;
        let text = text
            .replace("{letter}", LETTER)
            .replace("{job}", JOB)
            .replace("{matches}", MATCHES)
            .replace("{is_any_kept}", IS_ANY_KEPT)
            .replace("{now}", self.now)
            .replace("{isolation}", self.isolation)
            .replace("{begin_snapshot}", self.begin_snapshot)
            .replace("{unhex}", self.unhex[0])
            .replace("{hex}", self.unhex[1])
            .replace("{among}", self.among[0])
            .replace("{end}", self.among[1])
            .replace("{ordered}", self.ordered)
            .replace("{each}", each)
            .replace("{json}", json)
            .replace("{value}", value)
            .replace("{share}", self.share)
            .replace("{lock}", self.lock)
            .replace("{skip}", self.skip)
            .replace("{kept}", "state IN ('dead', 'held')")
            .replace("{kept_by_no_index}", "state || '' IN ('dead', 'held')");
        // Safe: program text, and a checked namespace.
        AssertSqlSafe(namespace.render(&text)).into_sql_str()
    }
}

const LETTER: &str = "m.id, m.consumer, m.topic, m.partition, m.\"offset\", m.source, m.message_id, m.key, m.kind, m.state, \
    m.failure, m.attempts, m.retries, m.error, m.fingerprint, m.kept_at, m.failed_at, m.due_at, m.resolved_at, m.revision, m.job";

const JOB: &str = "j.id, j.act, j.query, j.rate, j.operator, j.reason, j.state, j.started_at, j.finished_at, j.cursor, j.last, j.done";

/// For the consumer $1.
const IS_ANY_KEPT: &str =
    "CASE WHEN EXISTS (SELECT 1 FROM {ns}dlq_blocked_keys WHERE consumer = $1)
    OR EXISTS (SELECT 1 FROM {ns}dlq_messages WHERE consumer = $1 AND {kept}) THEN 1 ELSE 0 END";

/// Parameters 1 to 9 are a query.
const MATCHES: &str = "(CAST($1 AS TEXT) IS NULL OR m.consumer = $1) AND (CAST($2 AS TEXT) IS NULL OR m.topic = $2)
    AND (CAST($3 AS TEXT) IS NULL OR m.key = $3) AND (CAST($4 AS TEXT) IS NULL OR m.kind = $4)
    AND (CAST($5 AS TEXT) IS NULL OR m.message_id = $5) AND (CAST($6 AS TEXT) IS NULL OR m.fingerprint = $6)
    AND (CAST($7 AS TEXT) IS NULL OR m.state = $7) AND (CAST($8 AS BIGINT) IS NULL OR m.kept_at >= $8)
    AND (CAST($9 AS BIGINT) IS NULL OR m.kept_at < $9)";

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)*) => {
        /// Rendered once.
        #[derive(Clone, Debug)]
        pub(crate) struct Statements {
            $($(#[$doc])* pub(crate) $name: SqlStr,)*
        }

        impl Statements {
            pub(crate) fn new(namespace: &Namespace, dialect: Dialect) -> Self {
                Self { $($name: dialect.render(namespace, $text),)* }
            }
        }
    };
}

statements! {
    /// Whether anything is kept for the consumer. Mostly nothing is, and this is all that admission costs.
    is_any_kept: "SELECT {is_any_kept}, {isolation}";
    /// What a batch meets, in one statement. A row tells in its first column what it is: 0 is the isolation level and whether
    /// anything is kept for the consumer, 1 a blocked key with its topic, 2 a message that is kept already. Each element
    /// of $2: topic, key, source, message id.
    ///
    /// Keys that a hand-back has deleted during the wait are not among the answers. SQLite keeps the order of a CROSS JOIN;
    /// otherwise it would read everything that is kept. So would PostgreSQL while it does not know the table, if an index of
    /// what is kept would do for a message: `state || ''` rules those out.
    look: "WITH blocked AS (
            SELECT b.topic, b.key FROM {ns}dlq_blocked_keys AS b
            WHERE b.consumer = $1 AND (b.topic, b.key) IN (
                SELECT row.value ->> 0, row.value ->> 1 FROM {each}($2{json}) AS row{value})
            ORDER BY b.topic, b.key {share}),
        known AS (
            SELECT m.source, m.message_id FROM {each}($2{json}) AS row{value} CROSS JOIN {ns}dlq_messages AS m
            WHERE m.consumer = $1 AND m.source = row.value ->> 2 AND m.message_id = row.value ->> 3 AND m.{kept_by_no_index})
        SELECT 0, {isolation}, CAST({is_any_kept} AS TEXT)
        UNION ALL SELECT 1, topic, key FROM blocked UNION ALL SELECT 2, source, message_id FROM known";
    /// The same for one message: topic $2, key $3, source $4, message id $5. Its plan has fewer nodes, so it costs less.
    look_at_one: "SELECT {isolation}, {is_any_kept},
        CASE WHEN (SELECT 1 FROM {ns}dlq_blocked_keys AS b WHERE b.consumer = $1 AND b.topic = $2 AND b.key = $3 {share}) IS NULL
            THEN 0 ELSE 1 END,
        CASE WHEN EXISTS (SELECT 1 FROM {ns}dlq_messages WHERE consumer = $1 AND source = $4 AND message_id = $5 AND {kept_by_no_index})
            THEN 1 ELSE 0 END";
    insert: "INSERT INTO {ns}dlq_messages (consumer, topic, partition, \"offset\", source, message_id, key, kind, state, failure,
            attempts, retries, error, fingerprint, kept_at, failed_at, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'dead', $9, $10, $11, $12, $13, {now}, {now}, {now} + CAST($14 AS BIGINT)) RETURNING id";
    /// The held messages of a batch, in its order. Each element of $2: topic, partition, offset, source, message id, key, kind.
    hold_set: "INSERT INTO {ns}dlq_messages (consumer, topic, partition, \"offset\", source, message_id, key, kind, state, kept_at)
        SELECT $1, r.value ->> 0, CAST(r.value ->> 1 AS INTEGER), CAST(r.value ->> 2 AS BIGINT), r.value ->> 3, r.value ->> 4,
            r.value ->> 5, r.value ->> 6, 'held', {now} FROM {ordered} RETURNING id, topic, partition, \"offset\"";
    /// Their bodies. Each element of $1: message, record, payload in hexadecimal.
    hold_bodies: "INSERT INTO {ns}dlq_bodies (message, revision, record, payload)
        SELECT CAST(row.value ->> 0 AS BIGINT), 0, row.value ->> 1, {unhex}row.value ->> 2{hex} FROM {each}($1{json}) AS row{value}";
    insert_body: "INSERT INTO {ns}dlq_bodies (message, revision, record, payload) VALUES ($1, $2, $3, $4)";
    insert_failure: "INSERT INTO {ns}dlq_failures (message, at, kind, attempts, error, revision) VALUES ($1, {now}, $2, $3, $4, $5)";
    /// DO UPDATE waits for a hand-back and then inserts; DO NOTHING would not.
    block: "INSERT INTO {ns}dlq_blocked_keys (consumer, topic, key, draining) VALUES ($1, $2, $3, false)
        ON CONFLICT (consumer, topic, key) DO UPDATE SET draining = false";

    due_keys: "SELECT b.topic, b.key FROM {ns}dlq_blocked_keys AS b
        WHERE b.consumer = $1 AND (b.draining OR NOT EXISTS (
            SELECT 1 FROM {ns}dlq_messages AS m
            WHERE m.consumer = b.consumer AND m.topic = b.topic AND m.key = b.key AND m.{kept}))
        LIMIT $2 + 0";
    /// `state || ''` as in `look`.
    due_letters: "SELECT m.id, m.topic, m.key FROM {ns}dlq_messages AS m
        WHERE m.consumer = $1 AND m.due_at <= {now} AND m.state || '' = 'dead' ORDER BY m.due_at LIMIT $2 + 0";
    /// SKIP LOCKED would take the next message, which would overtake.
    lock_head: "SELECT id FROM {ns}dlq_messages WHERE consumer = $1 AND topic = $2 AND key = $3 AND {kept} ORDER BY id LIMIT 1 {lock}";
    lock_letter: "SELECT id FROM {ns}dlq_messages WHERE id = $1 AND {kept} {lock}";
    head: "SELECT m.topic, m.partition, m.\"offset\", b.record, b.payload,
            CASE WHEN k.draining OR (m.state = 'dead' AND m.due_at <= {now}) THEN 1 ELSE 0 END
        FROM {ns}dlq_messages AS m JOIN {ns}dlq_bodies AS b ON b.message = m.id AND b.revision = m.revision
        LEFT JOIN {ns}dlq_blocked_keys AS k ON k.consumer = m.consumer AND k.topic = m.topic AND k.key = m.key
        WHERE m.id = $1";
    replayed: "UPDATE {ns}dlq_messages SET state = 'replayed', resolved_at = {now}, due_at = NULL WHERE id = $1";
    drain: "UPDATE {ns}dlq_blocked_keys SET draining = true WHERE consumer = $1 AND topic = $2 AND key = $3";
    lock_failed: "SELECT revision, retries FROM {ns}dlq_messages WHERE id = $1 AND {kept} {lock}";
    failed: "UPDATE {ns}dlq_messages SET state = 'dead', failure = $2, attempts = attempts + $3, retries = retries + $4, error = $5,
            fingerprint = $6, failed_at = {now}, due_at = {now} + CAST($7 AS BIGINT) WHERE id = $1";
    block_again: "UPDATE {ns}dlq_blocked_keys SET draining = false WHERE consumer = $1 AND topic = $2 AND key = $3";
    lock_key: "SELECT 1 FROM {ns}dlq_blocked_keys WHERE consumer = $1 AND topic = $2 AND key = $3 {lock}";
    hand_back: "DELETE FROM {ns}dlq_blocked_keys WHERE consumer = $1 AND topic = $2 AND key = $3 AND NOT EXISTS (
            SELECT 1 FROM {ns}dlq_messages AS m WHERE m.consumer = $1 AND m.topic = $2 AND m.key = $3 AND m.{kept})";
    prune: "DELETE FROM {ns}dlq_messages WHERE id {among}
            SELECT id FROM {ns}dlq_messages WHERE consumer = $1 AND resolved_at <= {now} - CAST($2 AS BIGINT)
            ORDER BY resolved_at LIMIT $3 + 0 {skip}{end} RETURNING id";
    prune_bodies: "DELETE FROM {ns}dlq_bodies WHERE message IN (SELECT CAST(row.value AS BIGINT) FROM {each}($1{json}) AS row{value})";
    prune_failures: "DELETE FROM {ns}dlq_failures WHERE message IN (SELECT CAST(row.value AS BIGINT) FROM {each}($1{json}) AS row{value})";
    /// A job shows what became of its messages, so it stays as long as they do.
    prune_jobs: "DELETE FROM {ns}dlq_jobs WHERE id {among}
            SELECT id FROM {ns}dlq_jobs AS j WHERE j.finished_at <= {now} - CAST($1 AS BIGINT)
              AND NOT EXISTS (SELECT 1 FROM {ns}dlq_messages AS m WHERE m.job = j.id)
            ORDER BY id LIMIT $2 + 0 {skip}{end}";
    totals: "SELECT
        (SELECT count(*) FROM (SELECT 1 FROM {ns}dlq_messages WHERE consumer = $1 AND {kept} AND state = 'dead' LIMIT $2 + 0) AS t),
        (SELECT count(*) FROM (SELECT 1 FROM {ns}dlq_messages WHERE consumer = $1 AND {kept} AND state = 'held' LIMIT $2 + 0) AS t),
        (SELECT count(*) FROM (SELECT 1 FROM {ns}dlq_blocked_keys WHERE consumer = $1 LIMIT $2 + 0) AS t)";

    /// Jumps from fingerprint to fingerprint along the index, and counts up to $2 of each.
    groups: "WITH RECURSIVE f (fingerprint) AS (
            SELECT (SELECT min(m.fingerprint) FROM {ns}dlq_messages AS m WHERE m.state = 'dead')
            UNION ALL
            SELECT (SELECT min(m.fingerprint) FROM {ns}dlq_messages AS m WHERE m.state = 'dead' AND m.fingerprint > f.fingerprint)
            FROM f WHERE f.fingerprint IS NOT NULL)
        SELECT (SELECT count(*) FROM (SELECT 1 FROM {ns}dlq_messages AS c
                    WHERE c.state = 'dead' AND c.fingerprint = f.fingerprint LIMIT $2 + 0) AS t) AS count,
            (SELECT o.kept_at FROM {ns}dlq_messages AS o
                WHERE o.state = 'dead' AND o.fingerprint = f.fingerprint ORDER BY o.id LIMIT 1) AS first_seen, {letter}
        FROM f JOIN {ns}dlq_messages AS m ON m.id = (
            SELECT max(n.id) FROM {ns}dlq_messages AS n WHERE n.state = 'dead' AND n.fingerprint = f.fingerprint)
        WHERE f.fingerprint IS NOT NULL AND (CAST($1 AS TEXT) IS NULL OR m.consumer = $1)
        ORDER BY m.id DESC LIMIT $3 + 0";
    list: "SELECT {letter} FROM {ns}dlq_messages AS m WHERE {matches} AND m.id < $10 ORDER BY m.id DESC LIMIT $11 + 0";
    count: "SELECT count(*) FROM (SELECT 1 FROM {ns}dlq_messages AS m WHERE {matches} LIMIT $10 + 0) AS t";
    job_letters: "SELECT m.id FROM {ns}dlq_messages AS m WHERE {matches} AND m.id > $10 AND m.id <= $11 AND m.{kept} ORDER BY m.id LIMIT $12 + 0";
    begin_snapshot: "{begin_snapshot}";
    letter: "SELECT {letter} FROM {ns}dlq_messages AS m WHERE m.id = $1";
    lock: "SELECT {letter} FROM {ns}dlq_messages AS m WHERE m.id = $1 {lock}";
    body: "SELECT b.record, b.payload FROM {ns}dlq_bodies AS b WHERE b.message = $1
        AND b.revision = coalesce(CAST($2 AS INTEGER), (SELECT m.revision FROM {ns}dlq_messages AS m WHERE m.id = $1))";
    failures: "SELECT at, kind, attempts, error, revision FROM {ns}dlq_failures WHERE message = $1 ORDER BY id DESC LIMIT 100";
    held: "SELECT count(*) FROM (SELECT 1 FROM {ns}dlq_messages AS m
        WHERE m.consumer = $1 AND m.topic = $2 AND m.key = $3 AND m.id > $4 AND m.{kept} LIMIT 1000) AS t";
    first: "SELECT min(id) FROM {ns}dlq_messages WHERE consumer = $1 AND topic = $2 AND key = $3 AND {kept}";
    request: "UPDATE {ns}dlq_messages SET due_at = {now}, job = coalesce(CAST($2 AS BIGINT), job) WHERE id = $1";
    discard: "UPDATE {ns}dlq_messages SET state = 'discarded', resolved_at = {now}, due_at = NULL WHERE id = $1";
    restore: "UPDATE {ns}dlq_messages SET state = 'dead', resolved_at = NULL, due_at = NULL WHERE id = $1";
    revise: "UPDATE {ns}dlq_messages SET revision = $2, kind = $3 WHERE id = $1";
    log: "INSERT INTO {ns}dlq_audit (at, operator, reason, act, message, job, detail) VALUES ({now}, $1, $2, $3, $4, $5, $6)";
    audit: "SELECT id, at, operator, reason, act, message, job, detail FROM {ns}dlq_audit
        WHERE (CAST($1 AS BIGINT) IS NULL OR message = $1) AND id < $2 ORDER BY id DESC LIMIT $3 + 0";
    add_job: "INSERT INTO {ns}dlq_jobs (act, query, rate, operator, reason, state, started_at, last)
        SELECT $1, $2, $3, $4, $5, 'running', {now}, coalesce((SELECT max(id) FROM {ns}dlq_messages), 0) RETURNING id";
    jobs: "SELECT {job},
            (SELECT count(*) FROM {ns}dlq_messages AS m WHERE m.job = j.id AND m.state = 'replayed') AS replayed,
            (SELECT count(*) FROM {ns}dlq_messages AS m WHERE m.job = j.id AND m.state = 'dead' AND m.due_at IS NOT NULL) AS waiting,
            (SELECT count(*) FROM {ns}dlq_messages AS m WHERE m.job = j.id) AS asked
        FROM {ns}dlq_jobs AS j WHERE (CAST($1 AS BIGINT) IS NULL OR j.id = $1) ORDER BY j.id DESC LIMIT $2 + 0";
    running_jobs: "SELECT id FROM {ns}dlq_jobs WHERE state = 'running' ORDER BY id LIMIT $1 + 0";
    claim_job: "SELECT {job}, CAST(0 AS BIGINT) AS replayed, CAST(0 AS BIGINT) AS waiting, CAST(0 AS BIGINT) AS asked, {now} AS now FROM {ns}dlq_jobs AS j
        WHERE j.id = $1 AND j.state = 'running' {skip}";
    advance_job: "UPDATE {ns}dlq_jobs SET cursor = $2, done = $3, state = $4,
            finished_at = CASE WHEN CAST($4 AS TEXT) = 'running' THEN NULL ELSE {now} END WHERE id = $1";
}

/// Each reads all columns that this build needs of a table, and no row.
pub(crate) const PROBES: [&str; 6] = [
    "SELECT id, consumer, topic, partition, \"offset\", source, message_id, key, kind, state, failure, attempts, retries, error, \
     fingerprint, kept_at, failed_at, due_at, resolved_at, revision, job FROM {ns}dlq_messages WHERE false",
    "SELECT message, revision, record, payload FROM {ns}dlq_bodies WHERE false",
    "SELECT consumer, topic, key, draining FROM {ns}dlq_blocked_keys WHERE false",
    "SELECT id, message, at, kind, attempts, error, revision FROM {ns}dlq_failures WHERE false",
    "SELECT id, at, operator, reason, act, message, job, detail FROM {ns}dlq_audit WHERE false",
    "SELECT id, act, query, rate, operator, reason, state, started_at, finished_at, cursor, last, done FROM {ns}dlq_jobs WHERE false",
];
