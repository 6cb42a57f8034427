-- A record: the answer to a request that was completed. It is inserted in the transaction that makes
-- the request's effect; the primary key decides between concurrent ones.
CREATE TABLE {ns}idempotency_records (
    tenant      TEXT NOT NULL,     -- whose key it is; empty where there is one tenant
    operation   TEXT NOT NULL,     -- such as POST /orders
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,     -- BLAKE3 over scope and body of the request
    status      INTEGER NOT NULL,
    headers     TEXT NOT NULL,     -- JSON: [[name, value or {"hex": value}], …]
    body        BLOB,              -- NULL: larger than the response limit, not kept
    expires_at  INTEGER NOT NULL,  -- microseconds since 1970; from then on the key is free
    PRIMARY KEY (key, tenant, operation)  -- what differs most comes first
) STRICT;

-- Sweeping reads along this index.
CREATE INDEX {prefix}idempotency_records_by_expiry ON {ns}idempotency_records (expires_at);
