-- What writers count up: the lock on its row makes the order of commits per key.
CREATE TABLE counters (
    key  TEXT PRIMARY KEY,
    last BIGINT NOT NULL
);

-- What was committed.
CREATE TABLE entries (
    id      TEXT PRIMARY KEY,
    key     TEXT NOT NULL,
    number  BIGINT NOT NULL,
    attempt TEXT NOT NULL,
    UNIQUE (key, number)
);

-- What was done. That each is there once is the inbox's doing, and no constraint's.
CREATE TABLE effects (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      TEXT NOT NULL,
    key     TEXT NOT NULL,
    number  BIGINT NOT NULL,
    attempt TEXT NOT NULL,
    by      TEXT NOT NULL DEFAULT current_setting('application_name')
);

-- Not empty: what could not be handled can be now.
CREATE TABLE healed (at TIMESTAMPTZ NOT NULL DEFAULT now());

-- Who owned what: fence = a shard was taken, none = rows were removed. Both lock the shard's row, so that the numbers have
-- the order in which it happened.
CREATE TABLE ownership (
    seq   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard INTEGER,
    fence BIGINT,
    by    TEXT NOT NULL DEFAULT current_setting('application_name')
);

CREATE FUNCTION note_taking() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ownership (shard, fence) VALUES (new.shard, new.fence);
    RETURN NULL;
END $$;
CREATE TRIGGER note_taking AFTER UPDATE ON outbox_shards
    FOR EACH ROW WHEN (new.fence IS DISTINCT FROM old.fence) EXECUTE FUNCTION note_taking();

-- Also where there was nothing to remove: what a refused relay does is rolled back, and this with it.
CREATE FUNCTION note_removal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ownership (shard) SELECT DISTINCT shard FROM gone;
    IF NOT FOUND THEN
        INSERT INTO ownership DEFAULT VALUES;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_removal AFTER DELETE ON outbox REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION note_removal();
