-- The simulated provider's own books: at most one operation per effect key.
CREATE TABLE {ns}operations (
    effect_key   TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency     TEXT NOT NULL,
    reference    TEXT NOT NULL,
    done_at      INTEGER NOT NULL
) STRICT;

-- The number of requests per effect key.
CREATE TABLE {ns}asks (
    effect_key TEXT PRIMARY KEY,
    asked      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
