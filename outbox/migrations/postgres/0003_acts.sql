-- What operators did with rows of the deferred table. This crate never deletes from it.
CREATE TABLE {ns}outbox_acts (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT NOT NULL,  -- microseconds since 1970 by this server
    operator   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    act        TEXT NOT NULL,    -- retry, discard
    topic      TEXT NOT NULL,
    key        TEXT,
    message_id TEXT,             -- null: the envelope cannot be read
    refusal    TEXT,             -- why the broker refused it
    envelope   TEXT,             -- of a discarded message, byte for byte; null after a retry
    payload    BYTEA
);
