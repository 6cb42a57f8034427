-- One row = one message that was committed and is not yet published. One writer at a time, so the order of rows
-- is the order of commits. AUTOINCREMENT: a plain INTEGER PRIMARY KEY hands out deleted positions again.
CREATE TABLE {ns}outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    shard    INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,           -- everything else of the message, as JSON
    payload  BLOB
) STRICT;

-- The deferred table: delayed messages, and the messages of keys that a refused one has stopped. Empty on a good day.
CREATE TABLE {ns}outbox_deferred (
    position INTEGER PRIMARY KEY AUTOINCREMENT,  -- order within a key
    shard    INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,
    payload  BLOB,
    stopped  INTEGER NOT NULL,           -- 1: its key is stopped; 0: delayed
    due_at   INTEGER NOT NULL,           -- microseconds since 1970: when it is delivered, or tried again
    attempts INTEGER NOT NULL DEFAULT 0, -- how often it was refused
    reason   TEXT                        -- why it was refused the last time
) STRICT;
CREATE INDEX {prefix}outbox_deferred_by_key ON {prefix}outbox_deferred (topic, key, position) WHERE stopped = 1;
CREATE INDEX {prefix}outbox_deferred_by_due ON {prefix}outbox_deferred (due_at) WHERE stopped = 0;

-- Deduplication keys that were used.
CREATE TABLE {ns}outbox_deduplication_keys (
    deduplication_key TEXT PRIMARY KEY,
    used_at     INTEGER NOT NULL         -- microseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}outbox_deduplication_keys_by_use ON {prefix}outbox_deduplication_keys (used_at);

-- Who publishes what. The fence rises with every change of owner; a write that carries an old one is refused.
CREATE TABLE {ns}outbox_shards (
    shard INTEGER PRIMARY KEY,
    owner TEXT,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Relays that are alive. Leases are in microseconds of the host's suspend-aware monotonic clock: all processes that
-- can open this file share the host, and a lease of another boot has ended.
CREATE TABLE {ns}outbox_relays (
    owner       TEXT PRIMARY KEY,
    boot_id     TEXT NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What every process must agree on: one row.
CREATE TABLE {ns}outbox_layout (
    shards INTEGER NOT NULL,
    hash   TEXT NOT NULL
) STRICT;
