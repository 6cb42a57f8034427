-- An event of a stream. Rows are inserted in the caller's transaction, and never changed. The primary
-- key refuses the later of two transactions that append behind the same version. Collation "C"
-- compares names byte by byte in every locale, so that the streams of an aggregate are one range.
CREATE TABLE {ns}eventstore_events (
    stream         TEXT COLLATE "C" NOT NULL,  -- aggregate/id, such as order/17
    version        BIGINT NOT NULL,            -- place in the stream, from 1, without gaps
    kind           TEXT NOT NULL,              -- the event type, such as OrderPlaced
    schema_version INTEGER NOT NULL,           -- version of the kind's payload, from 1
    payload        TEXT NOT NULL,              -- JSON as it was written
    recorded_at    BIGINT NOT NULL,            -- microseconds since 1970
    PRIMARY KEY (stream, version)
);

-- The state of an aggregate as of a version. Deleting a snapshot loses nothing.
CREATE TABLE {ns}eventstore_snapshots (
    stream  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    shape   BIGINT NOT NULL,                   -- number of the state's shape; another one's snapshot is ignored
    state   TEXT NOT NULL                      -- JSON
);

-- How far the rebuild of a projection is. Written in the transactions that write the projection.
CREATE TABLE {ns}eventstore_rebuilds (
    projection TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    shape      BIGINT NOT NULL,                -- number of the projection's shape; 0: made, and not begun
    stream     TEXT COLLATE "C" NOT NULL,      -- the last event that it has: stream, and version
    version    BIGINT NOT NULL,
    events     BIGINT NOT NULL,                -- how many events it has
    total      BIGINT NOT NULL,                -- how many there were when it began
    is_done    BOOLEAN NOT NULL
);
