-- The simulated provider's own books. A key is done once.
CREATE TABLE {ns}operations (
    effect_key   TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    currency     TEXT NOT NULL,
    reference    TEXT NOT NULL,
    done_at      BIGINT NOT NULL
);

-- How often each key was asked for.
CREATE TABLE {ns}asks (
    effect_key TEXT PRIMARY KEY,
    asked      BIGINT NOT NULL
) WITH (fillfactor = 70);
