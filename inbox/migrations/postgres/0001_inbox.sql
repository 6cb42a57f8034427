-- A processed record: this consumer's effect of this message is made. It is inserted in the
-- transaction that makes the effect. Topic, partition and offset are where the message was read;
-- retention uses them. Collation "C" compares identities byte by byte in every locale, and is
-- faster.
CREATE TABLE {ns}inbox_processed (
    seq       BIGINT GENERATED ALWAYS AS IDENTITY,
    consumer  TEXT COLLATE "C" NOT NULL,
    source    TEXT COLLATE "C" NOT NULL,   -- empty for a record that is not a message, whose id is its position
    id        TEXT COLLATE "C" NOT NULL,
    topic     TEXT COLLATE "C" NOT NULL,
    partition INTEGER NOT NULL,
    "offset"  BIGINT NOT NULL,
    PRIMARY KEY (consumer, source, id)
);

-- Pruning reads along this index.
CREATE INDEX {prefix}inbox_processed_by_seq ON {ns}inbox_processed (seq);

-- Further positions of a processed message. Its processed record is kept while the message may come
-- again at any of them. Few messages have one.
CREATE TABLE {ns}inbox_redeliveries (
    consumer  TEXT COLLATE "C" NOT NULL,
    source    TEXT COLLATE "C" NOT NULL,
    id        TEXT COLLATE "C" NOT NULL,
    topic     TEXT COLLATE "C" NOT NULL,
    partition INTEGER NOT NULL,
    "offset"  BIGINT NOT NULL,  -- the highest one
    after_seq BIGINT NOT NULL,  -- the newest processed record when it was read; a checkpoint that knows no newer one is older
    PRIMARY KEY (consumer, source, id, topic, partition)
);

-- Checkpoints: the group's committed offset at a time, and which processed records existed then. A
-- processed record is pruned when it is older than a checkpoint and lies below its offset, and the
-- checkpoint is older than the retention window.
CREATE TABLE {ns}inbox_progress (
    consumer     TEXT COLLATE "C" NOT NULL,
    topic        TEXT COLLATE "C" NOT NULL,
    partition    INTEGER NOT NULL,
    committed_at BIGINT NOT NULL,  -- microseconds since 1970
    "offset"     BIGINT NOT NULL,  -- everything below it was committed then
    newest_seq   BIGINT NOT NULL,  -- every processed record up to this one was committed or rolled back then
    PRIMARY KEY (consumer, topic, partition, committed_at)
);
