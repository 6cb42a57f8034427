CREATE TABLE {ns}payments (
    order_id       TEXT PRIMARY KEY,
    status         TEXT NOT NULL,     -- requested, authorized, declined, captured, voided
    amount_minor   BIGINT NOT NULL,
    currency       TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    provider_ref   TEXT,              -- the provider's name for the authorisation
    emitted        BIGINT NOT NULL,   -- messages it has emitted
    updated_at     BIGINT NOT NULL    -- microseconds since 1970, as all times here
) WITH (fillfactor = 80);

-- Operations that the provider has to do. All requests of one operation have the same effect key. A number is drawn under
-- the lock of the order's payment, so the numbers of one order are committed in their order.
CREATE TABLE {ns}intents (
    number         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    effect_key     TEXT NOT NULL UNIQUE,
    order_id       TEXT NOT NULL,
    kind           TEXT NOT NULL,     -- authorize, capture, void
    question       TEXT NOT NULL,     -- ask, look_up
    asked          BIGINT NOT NULL,   -- number of requests
    due_at         BIGINT NOT NULL,
    done           BIGINT NOT NULL,
    causation_id   TEXT NOT NULL,
    correlation_id TEXT
);
CREATE INDEX {prefix}intents_due ON {ns}intents (due_at) WHERE done = 0;
CREATE INDEX {prefix}intents_of_order ON {ns}intents (order_id, number) WHERE done = 0;

-- Double entry: the entries of one operation sum to zero.
CREATE TABLE {ns}ledger_entries (
    operation    TEXT NOT NULL,
    account      TEXT NOT NULL,
    order_id     TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency     TEXT NOT NULL,
    booked_at    BIGINT NOT NULL,
    PRIMARY KEY (operation, account)
);
CREATE INDEX {prefix}ledger_entries_of_order ON {ns}ledger_entries (order_id);
