-- The log. One row is one message that is committed and not yet published. There is one writer at a time, so rows are in
-- the order of commits. AUTOINCREMENT, because a plain INTEGER PRIMARY KEY reuses the positions of deleted rows.
CREATE TABLE {ns}outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    shard    INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,           -- the rest of the message, as JSON
    payload  BLOB
) STRICT;

-- The deferred table: delayed messages, and messages of blocked keys. It is usually empty.
CREATE TABLE {ns}outbox_deferred (
    position INTEGER PRIMARY KEY AUTOINCREMENT,  -- order within a key
    shard    INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,
    payload  BLOB,
    blocked  INTEGER NOT NULL,           -- 1: its key is blocked; 0: it is delayed
    due_at   INTEGER NOT NULL,           -- when to deliver or retry it, in microseconds since 1970
    attempts INTEGER NOT NULL DEFAULT 0, -- how often the broker refused it
    reason   TEXT                        -- why the broker refused it last
) STRICT;
CREATE INDEX {prefix}outbox_deferred_by_key ON {prefix}outbox_deferred (topic, key, position) WHERE blocked = 1;
CREATE INDEX {prefix}outbox_deferred_by_due ON {prefix}outbox_deferred (due_at) WHERE blocked = 0;

-- Deduplication keys that were used.
CREATE TABLE {ns}outbox_deduplication_keys (
    deduplication_key TEXT PRIMARY KEY,
    used_at     INTEGER NOT NULL         -- microseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}outbox_deduplication_keys_by_use ON {prefix}outbox_deduplication_keys (used_at);

-- The owner of each shard. The fencing token grows with every change of owner; a write with an older one is refused.
CREATE TABLE {ns}outbox_shards (
    shard INTEGER PRIMARY KEY,
    owner TEXT,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Living relays. Leases are in microseconds of the host's monotonic clock, which includes suspended time. All processes
-- that can open this file share the host, and a lease of an earlier boot has ended.
CREATE TABLE {ns}outbox_relays (
    owner       TEXT PRIMARY KEY,
    boot_id     TEXT NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What every process must agree on, in one row.
CREATE TABLE {ns}outbox_layout (
    shards INTEGER NOT NULL,
    hash   TEXT NOT NULL
) STRICT;
