-- Which log this is. Drawn by whoever opens it first, and never changed.
CREATE TABLE {ns}broker_identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),  -- at most one row
    id  TEXT NOT NULL
) STRICT;
