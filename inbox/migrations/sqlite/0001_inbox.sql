-- A processed record: this consumer's effect of this message is made. It is inserted in the
-- transaction that makes the effect. Topic, partition and offset are where the message was read;
-- retention uses them.
CREATE TABLE {ns}inbox_processed (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused after its record is pruned
    consumer  TEXT NOT NULL,
    source    TEXT NOT NULL,   -- empty for a record that is not a message, whose id is its position
    id        TEXT NOT NULL,
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,
    UNIQUE (consumer, source, id)
) STRICT;

-- Further positions of a processed message. Its processed record is kept while the message may come
-- again at any of them. Few messages have one.
CREATE TABLE {ns}inbox_redeliveries (
    consumer  TEXT NOT NULL,
    source    TEXT NOT NULL,
    id        TEXT NOT NULL,
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,  -- the highest one
    after_seq INTEGER NOT NULL,  -- the newest processed record when it was read; a checkpoint that knows no newer one is older
    PRIMARY KEY (consumer, source, id, topic, partition)
) STRICT, WITHOUT ROWID;

-- Checkpoints: the group's committed offset at a time, and which processed records existed then. A
-- processed record is pruned when it is older than a checkpoint and lies below its offset, and the
-- checkpoint is older than the retention window.
CREATE TABLE {ns}inbox_progress (
    consumer     TEXT NOT NULL,
    topic        TEXT NOT NULL,
    partition    INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,  -- microseconds since 1970
    offset       INTEGER NOT NULL,  -- everything below it was committed then
    newest_seq   INTEGER NOT NULL,  -- the newest processed record then
    PRIMARY KEY (consumer, topic, partition, committed_at)
) STRICT, WITHOUT ROWID;
