-- A mark says: the effect of this message on this consumer is done. It is written in the transaction that makes
-- the effect. Topic, partition and offset are where the message was read; retention goes by them.
-- Collation "C": identities are compared byte by byte, whatever the locale, and faster.
CREATE TABLE {ns}inbox_processed (
    seq       BIGINT GENERATED ALWAYS AS IDENTITY,
    consumer  TEXT COLLATE "C" NOT NULL,
    source    TEXT COLLATE "C" NOT NULL,   -- empty: a record that is no message, whose id is its position
    id        TEXT COLLATE "C" NOT NULL,
    topic     TEXT COLLATE "C" NOT NULL,
    partition INTEGER NOT NULL,
    "offset"  BIGINT NOT NULL,
    PRIMARY KEY (consumer, source, id)
);

-- What the sweep goes along.
CREATE INDEX {prefix}inbox_processed_by_seq ON {ns}inbox_processed (seq);

-- Where else the message of a mark was read: the mark stays while any copy may come again. Few messages have one.
CREATE TABLE {ns}inbox_redeliveries (
    consumer  TEXT COLLATE "C" NOT NULL,
    source    TEXT COLLATE "C" NOT NULL,
    id        TEXT COLLATE "C" NOT NULL,
    topic     TEXT COLLATE "C" NOT NULL,
    partition INTEGER NOT NULL,
    "offset"  BIGINT NOT NULL,  -- the highest one
    after_seq BIGINT NOT NULL,  -- the newest mark when it was read: a checkpoint that knows no newer one is older
    PRIMARY KEY (consumer, source, id, topic, partition)
);

-- Now and then: how far the group's committed offset had come, and which marks existed then. A mark may go when
-- it is older than a checkpoint, lies below its offset, and the checkpoint is older than the window.
CREATE TABLE {ns}inbox_progress (
    consumer     TEXT COLLATE "C" NOT NULL,
    topic        TEXT COLLATE "C" NOT NULL,
    partition    INTEGER NOT NULL,
    committed_at BIGINT NOT NULL,  -- microseconds since 1970
    "offset"     BIGINT NOT NULL,  -- everything below was committed by then
    newest_seq   BIGINT NOT NULL,  -- every mark up to this one was committed or rolled back by then
    PRIMARY KEY (consumer, topic, partition, committed_at)
);
