-- The id of the broker's log that this service was first started with.
CREATE TABLE {ns}log_binding (
    one    INTEGER PRIMARY KEY CHECK (one = 1),  -- at most one row
    log_id TEXT NOT NULL
);
