-- The log: one row per record. A record's id is its partition's id and its offset in one number. Thus the records of a
-- partition are together on disk, appends go to its end, and a range of offsets is a range of the primary key.
CREATE TABLE {ns}broker_records (
    id          INTEGER PRIMARY KEY,  -- (partition id << 40) | offset
    key         TEXT,
    envelope    TEXT NOT NULL,
    payload     BLOB,
    appended_at INTEGER NOT NULL      -- microseconds since 1970, the appender's wall clock: for retention only
) STRICT;

CREATE TABLE {ns}broker_partitions (
    id           INTEGER PRIMARY KEY,
    topic        TEXT NOT NULL,
    number       INTEGER NOT NULL,
    first_offset INTEGER NOT NULL DEFAULT 0,  -- the oldest offset still kept
    next_offset  INTEGER NOT NULL DEFAULT 0,  -- the offset that the next record gets
    UNIQUE (topic, number)
) STRICT;

-- Members of consumer groups. Leases are in microseconds of the host's suspend-aware monotonic clock. All processes that
-- open this file share the host, and a lease of another boot has ended.
CREATE TABLE {ns}broker_members (
    grp         TEXT NOT NULL,
    member      TEXT NOT NULL,
    boot_id     TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    topics      TEXT NOT NULL,               -- JSON array
    PRIMARY KEY (grp, member)
) STRICT, WITHOUT ROWID;

-- The owner of each partition in each group, and the group's offset. The epoch grows with every change of owner.
CREATE TABLE {ns}broker_claims (
    grp       TEXT NOT NULL,
    partition INTEGER NOT NULL,
    member    TEXT,
    epoch     INTEGER NOT NULL DEFAULT 0,
    committed INTEGER NOT NULL,              -- every record below is finished
    PRIMARY KEY (grp, partition)
) STRICT, WITHOUT ROWID;
