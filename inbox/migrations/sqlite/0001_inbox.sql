-- A mark says: the effect of this message on this consumer is done. It is written in the transaction that makes
-- the effect. Topic, partition and offset are where the message was read; retention goes by them.
CREATE TABLE {ns}inbox_processed (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,  -- of a mark that is gone it is never used again
    consumer  TEXT NOT NULL,
    source    TEXT NOT NULL,   -- empty: a record that is no message, whose id is its position
    id        TEXT NOT NULL,
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,
    UNIQUE (consumer, source, id)
) STRICT;

-- Where else the message of a mark was read: the mark stays while any copy may come again. Few messages have one.
CREATE TABLE {ns}inbox_redeliveries (
    consumer  TEXT NOT NULL,
    source    TEXT NOT NULL,
    id        TEXT NOT NULL,
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,  -- the highest one
    after_seq INTEGER NOT NULL,  -- the newest mark when it was read: a checkpoint that knows no newer one is older
    PRIMARY KEY (consumer, source, id, topic, partition)
) STRICT, WITHOUT ROWID;

-- Now and then: how far the group's committed offset had come, and which marks existed then. A mark may go when
-- it is older than a checkpoint, lies below its offset, and the checkpoint is older than the window.
CREATE TABLE {ns}inbox_progress (
    consumer     TEXT NOT NULL,
    topic        TEXT NOT NULL,
    partition    INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,  -- microseconds since 1970
    offset       INTEGER NOT NULL,  -- everything below was committed by then
    newest_seq   INTEGER NOT NULL,  -- the newest mark by then
    PRIMARY KEY (consumer, topic, partition, committed_at)
) STRICT, WITHOUT ROWID;
