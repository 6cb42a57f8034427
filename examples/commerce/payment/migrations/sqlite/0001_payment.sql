CREATE TABLE {ns}payments (
    order_id       TEXT PRIMARY KEY,
    status         TEXT NOT NULL,     -- requested, authorized, declined, captured, voided
    amount_minor   INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    provider_ref   TEXT,              -- the provider's name for the authorisation
    emitted        INTEGER NOT NULL,  -- messages it has emitted
    updated_at     INTEGER NOT NULL   -- microseconds since 1970, as all times here
) STRICT;

-- Operations that the provider has to do. All requests of one operation have the same effect key.
CREATE TABLE {ns}intents (
    number         INTEGER PRIMARY KEY,
    effect_key     TEXT NOT NULL UNIQUE,
    order_id       TEXT NOT NULL,
    kind           TEXT NOT NULL,     -- authorize, capture, void
    question       TEXT NOT NULL,     -- ask, look_up
    asked          INTEGER NOT NULL,  -- number of requests
    due_at         INTEGER NOT NULL,
    done           INTEGER NOT NULL,
    causation_id   TEXT NOT NULL,
    correlation_id TEXT
) STRICT;
CREATE INDEX {prefix}intents_due ON {prefix}intents (due_at) WHERE done = 0;
CREATE INDEX {prefix}intents_of_order ON {prefix}intents (order_id, number) WHERE done = 0;

-- Double entry: the entries of one operation sum to zero.
CREATE TABLE {ns}ledger_entries (
    operation    TEXT NOT NULL,
    account      TEXT NOT NULL,
    order_id     TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency     TEXT NOT NULL,
    booked_at    INTEGER NOT NULL,
    PRIMARY KEY (operation, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}ledger_entries_of_order ON {prefix}ledger_entries (order_id);
