-- Messages that could not be handled, and those held behind them in their key. Lists read only this
-- table. Numbers rise, and within a key they are in its order. Times are
-- microseconds since 1970.
CREATE TABLE {ns}dlq_messages (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer    TEXT NOT NULL,
    topic       TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    source      TEXT NOT NULL,  -- empty for a record that is not a message, whose message_id is its position
    message_id  TEXT NOT NULL,
    key         TEXT,           -- null: the message has none and blocks nothing
    kind        TEXT,
    state       TEXT NOT NULL,  -- dead, held, replayed, discarded
    failure     TEXT,
    attempts    INTEGER NOT NULL DEFAULT 0,
    retries     INTEGER NOT NULL DEFAULT 0,
    error       TEXT,
    fingerprint TEXT,
    kept_at     INTEGER NOT NULL,
    failed_at   INTEGER,
    due_at      INTEGER,                     -- when the replayer tries it; null: not before an operator says so
    resolved_at INTEGER,
    revision    INTEGER NOT NULL DEFAULT 0,
    job         INTEGER
) STRICT;

-- The lowest kept message of a key.
CREATE INDEX {prefix}dlq_messages_by_key ON {ns}dlq_messages (consumer, topic, key, id) WHERE state IN ('dead', 'held');
-- A message that comes again while it is kept. Not unique: after it was replayed and its processed
-- record was pruned, it may come and fail again.
CREATE INDEX {prefix}dlq_messages_by_identity ON {ns}dlq_messages (consumer, source, message_id);
-- How many there are.
CREATE INDEX {prefix}dlq_messages_by_state ON {ns}dlq_messages (consumer, state) WHERE state IN ('dead', 'held');
-- Groups.
CREATE INDEX {prefix}dlq_messages_by_fingerprint ON {ns}dlq_messages (fingerprint, id) WHERE state = 'dead';
-- What is due.
CREATE INDEX {prefix}dlq_messages_by_due ON {ns}dlq_messages (consumer, due_at) WHERE due_at IS NOT NULL;
-- What has had its time.
CREATE INDEX {prefix}dlq_messages_by_resolved ON {ns}dlq_messages (consumer, resolved_at) WHERE resolved_at IS NOT NULL;
-- How far a job is.
CREATE INDEX {prefix}dlq_messages_by_job ON {ns}dlq_messages (job) WHERE job IS NOT NULL;

-- Headers and payload, byte for byte. Revision 0 is what came; each edit adds one.
CREATE TABLE {ns}dlq_bodies (
    message  INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    record   TEXT NOT NULL,  -- JSON: everything but the payload
    payload  BLOB,
    PRIMARY KEY (message, revision)
) STRICT;

-- A key whose messages wait: behind a dead letter, or while the replayer goes on with them.
CREATE TABLE {ns}dlq_blocked_keys (
    consumer TEXT NOT NULL,
    topic    TEXT NOT NULL,
    key      TEXT NOT NULL,
    draining INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, topic, key)
) STRICT, WITHOUT ROWID;

-- Each failure of a message.
CREATE TABLE {ns}dlq_failures (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    message  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error    TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX {prefix}dlq_failures_by_message ON {ns}dlq_failures (message, id);

-- Each act of an operator. This crate never deletes from it.
CREATE TABLE {ns}dlq_audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    operator TEXT NOT NULL,
    reason   TEXT NOT NULL,
    act      TEXT NOT NULL,
    message  INTEGER,
    job      INTEGER,
    detail   TEXT NOT NULL
) STRICT;
CREATE INDEX {prefix}dlq_audit_by_message ON {ns}dlq_audit (message, id) WHERE message IS NOT NULL;

-- Acts on many messages. A replayer comes to those behind the cursor, up to the last.
CREATE TABLE {ns}dlq_jobs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    act         TEXT NOT NULL,
    query       TEXT NOT NULL,  -- JSON
    rate        REAL,
    operator    TEXT NOT NULL,
    reason      TEXT NOT NULL,
    state       TEXT NOT NULL,  -- running, finished, cancelled
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    cursor      INTEGER NOT NULL DEFAULT 0,
    last        INTEGER NOT NULL,
    done        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX {prefix}dlq_jobs_running ON {ns}dlq_jobs (id) WHERE state = 'running';
