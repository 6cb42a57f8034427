-- The identity of the log: drawn by the first process that opens it, and never changed.
CREATE TABLE {ns}broker_identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),  -- at most one row
    id  TEXT NOT NULL
) STRICT;
