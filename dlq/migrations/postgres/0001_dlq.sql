-- Messages that could not be handled, and those held behind them in their key. Lists read only this
-- table. Numbers rise, and within a key they are in its order. Collation "C" compares texts byte by
-- byte in every locale, and is faster. Times are microseconds since 1970.
CREATE TABLE {ns}dlq_messages (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer    TEXT COLLATE "C" NOT NULL,
    topic       TEXT COLLATE "C" NOT NULL,
    partition   INTEGER NOT NULL,
    "offset"    BIGINT NOT NULL,
    source      TEXT COLLATE "C" NOT NULL,  -- empty for a record that is not a message, whose message_id is its position
    message_id  TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C",           -- null: the message has none and blocks nothing
    kind        TEXT COLLATE "C",
    state       TEXT COLLATE "C" NOT NULL,  -- dead, held, replayed, discarded
    failure     TEXT COLLATE "C",
    attempts    INTEGER NOT NULL DEFAULT 0,
    retries     INTEGER NOT NULL DEFAULT 0,
    error       TEXT,
    fingerprint TEXT COLLATE "C",
    kept_at     BIGINT NOT NULL,
    failed_at   BIGINT,
    due_at      BIGINT,                     -- when the replayer tries it; null: not before an operator says so
    resolved_at BIGINT,
    revision    INTEGER NOT NULL DEFAULT 0,
    job         BIGINT
);

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
    message  BIGINT NOT NULL,
    revision INTEGER NOT NULL,
    record   TEXT NOT NULL,  -- JSON: everything but the payload
    payload  BYTEA,
    PRIMARY KEY (message, revision)
);

-- A key whose messages wait: behind a dead letter, or while the replayer goes on with them.
CREATE TABLE {ns}dlq_blocked_keys (
    consumer TEXT COLLATE "C" NOT NULL,
    topic    TEXT COLLATE "C" NOT NULL,
    key      TEXT COLLATE "C" NOT NULL,
    draining BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (consumer, topic, key)
);

-- Each failure of a message.
CREATE TABLE {ns}dlq_failures (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message  BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    kind     TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error    TEXT NOT NULL,
    revision INTEGER NOT NULL
);
CREATE INDEX {prefix}dlq_failures_by_message ON {ns}dlq_failures (message, id);

-- Each act of an operator. This crate never deletes from it.
CREATE TABLE {ns}dlq_audit (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       BIGINT NOT NULL,
    operator TEXT NOT NULL,
    reason   TEXT NOT NULL,
    act      TEXT NOT NULL,
    message  BIGINT,
    job      BIGINT,
    detail   TEXT NOT NULL
);
CREATE INDEX {prefix}dlq_audit_by_message ON {ns}dlq_audit (message, id) WHERE message IS NOT NULL;

-- Acts on many messages. A replayer comes to those behind the cursor, up to the last.
CREATE TABLE {ns}dlq_jobs (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    act         TEXT NOT NULL,
    query       TEXT NOT NULL,  -- JSON
    rate        DOUBLE PRECISION,
    operator    TEXT NOT NULL,
    reason      TEXT NOT NULL,
    state       TEXT NOT NULL,  -- running, finished, cancelled
    started_at  BIGINT NOT NULL,
    finished_at BIGINT,
    cursor      BIGINT NOT NULL DEFAULT 0,
    last        BIGINT NOT NULL,
    done        BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX {prefix}dlq_jobs_running ON {ns}dlq_jobs (id) WHERE state = 'running';
