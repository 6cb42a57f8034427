-- A record: the answer to a request that was completed. It is inserted in the transaction that makes
-- the request's effect; the primary key decides between concurrent ones. Collation "C" compares keys
-- byte by byte in every locale, and is faster.
CREATE TABLE {ns}idempotency_records (
    tenant      TEXT COLLATE "C" NOT NULL,   -- whose key it is; empty where there is one tenant
    operation   TEXT COLLATE "C" NOT NULL,   -- such as POST /orders
    key         TEXT COLLATE "C" NOT NULL,
    fingerprint BYTEA NOT NULL,              -- BLAKE3 over scope and body of the request
    status      SMALLINT NOT NULL,
    headers     TEXT NOT NULL,               -- JSON: [[name, value or {"hex": value}], …]
    body        BYTEA,                       -- NULL: larger than the response limit, not kept
    expires_at  TIMESTAMPTZ NOT NULL,        -- from then on the key is free
    PRIMARY KEY (key, tenant, operation)     -- what differs most comes first
);

-- Sweeping reads along this index.
CREATE INDEX {prefix}idempotency_records_by_expiry ON {ns}idempotency_records (expires_at);
