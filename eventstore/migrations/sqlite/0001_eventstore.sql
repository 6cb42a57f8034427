-- An event of a stream. Rows are inserted in the caller's transaction, and never changed. The primary
-- key refuses the later of two transactions that append behind the same version.
CREATE TABLE {ns}eventstore_events (
    stream         TEXT NOT NULL,     -- aggregate/id, such as order/17
    version        INTEGER NOT NULL,  -- place in the stream, from 1, without gaps
    kind           TEXT NOT NULL,     -- the event type, such as OrderPlaced
    schema_version INTEGER NOT NULL,  -- version of the kind's payload, from 1
    payload        TEXT NOT NULL,     -- JSON as it was written
    recorded_at    INTEGER NOT NULL,  -- microseconds since 1970
    PRIMARY KEY (stream, version)
) STRICT, WITHOUT ROWID;

-- The state of an aggregate as of a version. Deleting a snapshot loses nothing.
CREATE TABLE {ns}eventstore_snapshots (
    stream  TEXT NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    shape   INTEGER NOT NULL,         -- number of the state's shape; another one's snapshot is ignored
    state   TEXT NOT NULL             -- JSON
) STRICT;

-- How far the rebuild of a projection is. Written in the transactions that write the projection.
CREATE TABLE {ns}eventstore_rebuilds (
    projection TEXT NOT NULL PRIMARY KEY,
    shape      INTEGER NOT NULL,      -- number of the projection's shape; 0: made, and not begun
    stream     TEXT NOT NULL,         -- the last event that it has: stream, and version
    version    INTEGER NOT NULL,
    events     INTEGER NOT NULL,      -- how many events it has
    total      INTEGER NOT NULL,      -- how many there were when it began
    is_done    INTEGER NOT NULL
) STRICT;
