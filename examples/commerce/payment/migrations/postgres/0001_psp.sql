-- The simulated provider's own books.
CREATE TABLE {ns}orders (
    order_id  TEXT PRIMARY KEY,
    requested BIGINT NOT NULL         -- requests for an authorisation
);

-- At most one operation per effect key.
CREATE TABLE {ns}operations (
    effect_key   TEXT PRIMARY KEY,
    order_id     TEXT NOT NULL,
    kind         TEXT NOT NULL,       -- authorize, capture, void, refund
    amount_minor BIGINT NOT NULL,
    currency     TEXT NOT NULL,
    reference    TEXT NOT NULL,
    done_at      BIGINT NOT NULL
);
CREATE INDEX {prefix}operations_of_order ON {ns}operations (order_id);

-- The newest fencing token of a caller, per effect key: calls with an older one are refused. And whether the provider was
-- unavailable: it answers so from then on.
CREATE TABLE {ns}effect_keys (
    effect_key  TEXT PRIMARY KEY,
    fence       BIGINT NOT NULL,
    unavailable BIGINT NOT NULL
);
