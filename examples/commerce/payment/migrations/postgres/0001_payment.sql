CREATE TABLE {ns}payments (
    order_id       TEXT PRIMARY KEY,
    status         TEXT NOT NULL,     -- requested, authorized, declined, capturing, captured, voiding, voided, refunding, refunded
    amount_minor   BIGINT NOT NULL,
    currency       TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    attempts       BIGINT NOT NULL,   -- commands to authorise it
    provider_ref   TEXT,              -- the provider's name for the authorisation
    updated_at     BIGINT NOT NULL    -- microseconds since 1970, as all times here
) WITH (fillfactor = 80);

-- What is left to do at the provider. All calls of one operation have the same effect key: the id of its command.
CREATE TABLE {ns}intents (
    effect_key TEXT PRIMARY KEY,
    order_id   TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,         -- authorize, capture, void, refund
    question   TEXT NOT NULL,         -- ask, look_up
    calls      BIGINT NOT NULL,       -- number of answered calls, silence included
    due_at     BIGINT NOT NULL,
    task       TEXT NOT NULL          -- the saga's command that is to be answered, as JSON
);
CREATE INDEX {prefix}intents_due ON {ns}intents (due_at);

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
