-- One row = one message that was committed and is not yet published. Rows are inserted and deleted, never updated.
-- Positions are drawn inside the INSERT, before the commit: gaps may fill later, so nobody reads "behind the last one
-- seen". They leave room for the shard beside them in 63 bits.
CREATE TABLE {ns}outbox (
    shard    INTEGER NOT NULL,
    position BIGINT GENERATED ALWAYS AS IDENTITY (MAXVALUE 140737488355327),
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,           -- everything else of the message, as JSON
    payload  BYTEA,
    PRIMARY KEY (shard, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- The deferred table: delayed messages, and the messages of keys that a refused one has stopped. Empty on a good day.
CREATE TABLE {ns}outbox_deferred (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- order within a key
    shard    INTEGER NOT NULL,
    topic    TEXT NOT NULL,
    key      TEXT,
    envelope TEXT NOT NULL,
    payload  BYTEA,
    stopped  BOOLEAN NOT NULL,           -- its key is stopped; else: delayed
    due_at   BIGINT NOT NULL,            -- microseconds since 1970 by this server: when it is delivered, or tried again
    attempts INTEGER NOT NULL DEFAULT 0, -- how often it was refused
    reason   TEXT                        -- why it was refused the last time
);
CREATE INDEX {prefix}outbox_deferred_by_key ON {ns}outbox_deferred (topic, key, position) WHERE stopped;
CREATE INDEX {prefix}outbox_deferred_by_due ON {ns}outbox_deferred (shard, due_at) WHERE NOT stopped;

-- Deduplication keys that were used.
CREATE TABLE {ns}outbox_deduplication_keys (
    deduplication_key TEXT PRIMARY KEY,
    used_at     BIGINT NOT NULL          -- microseconds since 1970 by this server
);
CREATE INDEX {prefix}outbox_deduplication_keys_by_use ON {ns}outbox_deduplication_keys (used_at);

-- Who publishes what. The fence rises with every change of owner; a write that carries an old one is refused.
CREATE TABLE {ns}outbox_shards (
    shard INTEGER PRIMARY KEY,
    owner TEXT,
    fence BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Relays that are alive.
CREATE TABLE {ns}outbox_relays (
    owner       TEXT PRIMARY KEY,
    lease_until BIGINT NOT NULL          -- microseconds since 1970 by this server
) WITH (fillfactor = 50);

-- What every process must agree on: one row.
CREATE TABLE {ns}outbox_layout (
    single BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
    shards INTEGER NOT NULL,
    hash   TEXT NOT NULL
);
