-- The simulated provider's own books. A key is done once.
CREATE TABLE {ns}operations (
    effect_key   TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency     TEXT NOT NULL,
    reference    TEXT NOT NULL,
    done_at      INTEGER NOT NULL
) STRICT;

-- How often each key was asked for.
CREATE TABLE {ns}asks (
    effect_key TEXT PRIMARY KEY,
    asked      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
