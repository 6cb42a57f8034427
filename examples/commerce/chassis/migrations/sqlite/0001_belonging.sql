-- Which log this database belongs to: the one that the service was first started with.
CREATE TABLE {ns}belonging (
    one    INTEGER PRIMARY KEY CHECK (one = 1),  -- at most one row
    log_id TEXT NOT NULL
) STRICT;
