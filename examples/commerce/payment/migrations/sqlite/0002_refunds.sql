-- The status may also be: partially_refunded.
ALTER TABLE {ns}payments ADD COLUMN customer_id TEXT; -- once a command has named the customer
ALTER TABLE {ns}payments ADD COLUMN refunded_minor INTEGER NOT NULL DEFAULT 0;
UPDATE {ns}payments SET refunded_minor = amount_minor WHERE status = 'refunded';

-- The amount of the operation; none: the payment's.
ALTER TABLE {ns}intents ADD COLUMN amount_minor INTEGER;

-- Refunds that operators request. A payment has at most one under way: its intent.
CREATE TABLE {ns}refunds (
    refund_id    TEXT PRIMARY KEY,    -- the effect key at the provider
    order_id     TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reason       TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    request_key  TEXT NOT NULL,       -- the request's Idempotency-Key: one refund per key, for ever
    requested_at INTEGER NOT NULL,
    refunded_at  INTEGER,             -- none: it is under way
    UNIQUE (order_id, request_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}refunds_of_order ON {prefix}refunds (order_id);
