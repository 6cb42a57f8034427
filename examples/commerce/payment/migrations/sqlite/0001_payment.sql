CREATE TABLE {ns}payments (
    order_id       TEXT PRIMARY KEY,
    status         TEXT NOT NULL,     -- requested, authorized, declined, capturing, captured, voiding, voided, refunding, refunded
    amount_minor   INTEGER NOT NULL,
    currency       TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    attempts       INTEGER NOT NULL,  -- commands to authorise it
    provider_ref   TEXT,              -- the provider's name for the authorisation
    updated_at     INTEGER NOT NULL   -- microseconds since 1970, as all times here
) STRICT;

-- What is left to do at the provider. All calls of one operation have the same effect key: the id of its command.
CREATE TABLE {ns}intents (
    effect_key TEXT PRIMARY KEY,
    order_id   TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,         -- authorize, capture, void, refund
    question   TEXT NOT NULL,         -- ask, look_up
    calls      INTEGER NOT NULL,      -- number of answered calls, silence included
    due_at     INTEGER NOT NULL,
    task       TEXT NOT NULL          -- the saga's command that is to be answered, as JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}intents_due ON {prefix}intents (due_at);

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
