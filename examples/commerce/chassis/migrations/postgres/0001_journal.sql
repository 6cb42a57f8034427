-- The messages that this service emitted, and the effects of the messages that it handled. Each row is written in the
-- transaction of its message or effect. Only `commerce verify` reads them, to compare them with the log and the inbox.
CREATE TABLE {ns}emitted (
    aggregate_id      TEXT NOT NULL,
    aggregate_version BIGINT NOT NULL,   -- 1, 2, 3 … without gaps
    event_id          TEXT NOT NULL,
    topic             TEXT NOT NULL,
    kind              TEXT NOT NULL,
    emitted_at        BIGINT NOT NULL,   -- microseconds since 1970
    PRIMARY KEY (aggregate_id, aggregate_version)
);

-- One row per handled message, under the natural name of its effect: a second effect violates the key.
CREATE TABLE {ns}effects (
    effect   TEXT PRIMARY KEY,
    event_id TEXT NOT NULL,
    outcome  TEXT NOT NULL,              -- done, or the reason why nothing was to do
    done_at  BIGINT NOT NULL             -- microseconds since 1970
);
