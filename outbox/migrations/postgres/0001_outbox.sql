-- The log. One row is one message that is committed and not yet published. Rows are inserted and deleted, never updated.
-- The INSERT draws the position, so before the commit: gaps may fill later, and a relay never reads "after the last
-- position seen". A position leaves room for the shard beside it in 63 bits.
CREATE TABLE {ns}outbox (
    shard    INTEGER NOT NULL,
    position BIGINT GENERATED ALWAYS AS IDENTITY (MAXVALUE 140737488355327),
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,           -- the rest of the message, as JSON
    payload  BYTEA,
    PRIMARY KEY (shard, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- The deferred table: delayed messages, and messages of blocked keys. It is usually empty.
CREATE TABLE {ns}outbox_deferred (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- order within a key
    shard    INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,
    payload  BYTEA,
    blocked  BOOLEAN NOT NULL,           -- true: its key is blocked; false: it is delayed
    due_at   BIGINT NOT NULL,            -- when to deliver or retry it, in microseconds since 1970 by this server
    attempts INTEGER NOT NULL DEFAULT 0, -- how often the broker refused it
    reason   TEXT                        -- why the broker refused it last
);
CREATE INDEX {prefix}outbox_deferred_by_key ON {ns}outbox_deferred (topic, key, position) WHERE blocked;
CREATE INDEX {prefix}outbox_deferred_by_due ON {ns}outbox_deferred (shard, due_at) WHERE NOT blocked;

-- Deduplication keys that were used.
CREATE TABLE {ns}outbox_deduplication_keys (
    deduplication_key TEXT PRIMARY KEY,
    used_at     BIGINT NOT NULL          -- microseconds since 1970 by this server
);
CREATE INDEX {prefix}outbox_deduplication_keys_by_use ON {ns}outbox_deduplication_keys (used_at);

-- The owner of each shard. The fencing token grows with every change of owner; a write with an older one is refused.
CREATE TABLE {ns}outbox_shards (
    shard INTEGER PRIMARY KEY,
    owner TEXT,
    fence BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Living relays.
CREATE TABLE {ns}outbox_relays (
    owner       TEXT PRIMARY KEY,
    lease_until BIGINT NOT NULL          -- microseconds since 1970 by this server
) WITH (fillfactor = 50);

-- What every process must agree on, in one row.
CREATE TABLE {ns}outbox_layout (
    single BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
    shards INTEGER NOT NULL,
    hash   TEXT NOT NULL
);
