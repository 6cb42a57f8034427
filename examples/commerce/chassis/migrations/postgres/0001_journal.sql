-- What this service told, and what it did because of what it was told. Written in the transaction that did it, and
-- never read by the service itself: `commerce verify` compares it with the broker's log and the inbox.
CREATE TABLE {ns}emitted (
    aggregate_id      TEXT NOT NULL,
    aggregate_version BIGINT NOT NULL,   -- 1, 2, 3 … without gaps
    event_id          TEXT NOT NULL,
    topic             TEXT NOT NULL,
    kind              TEXT NOT NULL,
    emitted_at        BIGINT NOT NULL,   -- microseconds since 1970
    PRIMARY KEY (aggregate_id, aggregate_version)
);

-- One row per handled message, under the natural name of its effect: doing it twice is an error.
CREATE TABLE {ns}effects (
    effect   TEXT PRIMARY KEY,
    event_id TEXT NOT NULL,
    outcome  TEXT NOT NULL,              -- done, or why there was nothing to do
    done_at  BIGINT NOT NULL             -- microseconds since 1970
);
