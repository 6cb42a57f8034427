-- The status may also be: partially_refunded.
ALTER TABLE {ns}payments ADD COLUMN customer_id TEXT; -- once a command has named the customer
ALTER TABLE {ns}payments ADD COLUMN refunded_minor BIGINT NOT NULL DEFAULT 0;
UPDATE {ns}payments SET refunded_minor = amount_minor WHERE status = 'refunded';

-- The amount of the operation; none: the payment's.
ALTER TABLE {ns}intents ADD COLUMN amount_minor BIGINT;

-- Refunds that operators request. A payment has at most one under way: its intent.
CREATE TABLE {ns}refunds (
    refund_id    TEXT PRIMARY KEY,    -- the effect key at the provider
    order_id     TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    reason       TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    request_key  TEXT NOT NULL,       -- the request's Idempotency-Key: one refund per key, for ever
    requested_at BIGINT NOT NULL,
    refunded_at  BIGINT,              -- none: it is under way
    UNIQUE (order_id, request_key)
);
CREATE INDEX {prefix}refunds_of_order ON {ns}refunds (order_id);
