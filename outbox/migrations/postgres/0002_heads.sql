-- The first row of each blocked key is marked as its head. A relay finds the keys that are due by an index, and reads
-- nothing of the others, however many rows wait. A refused message without a key is a head as well.
ALTER TABLE {ns}outbox_deferred ADD COLUMN head BOOLEAN NOT NULL DEFAULT false;

UPDATE {ns}outbox_deferred SET head = true WHERE position IN (
    SELECT min(position) FROM {ns}outbox_deferred WHERE blocked
    GROUP BY topic, key, CASE WHEN key IS NULL THEN position END);

CREATE INDEX {prefix}outbox_deferred_heads ON {ns}outbox_deferred (shard, due_at) WHERE head;

-- The database keeps the marks, whoever writes: a relay, or an operator who deletes a row to skip its message. An order by
-- key leaves the planner only the index of blocked keys, which an equality would not.
CREATE FUNCTION {ns}outbox_mark_heads() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    firsts BIGINT[];
    locked BIGINT;
BEGIN
    -- Writers of delayed messages may not read the table, and need not.
    IF NOT EXISTS (SELECT FROM changed WHERE blocked) THEN
        RETURN NULL;
    END IF;
    LOOP
        -- Deleting a row behind a head marks nothing, and must not wait for the head: its deleter may wait for that row.
        firsts := ARRAY(
            SELECT f.position FROM (SELECT DISTINCT topic, key FROM changed WHERE blocked AND key IS NOT NULL) k
            CROSS JOIN LATERAL (
                SELECT position, head FROM {ns}outbox_deferred
                WHERE blocked AND topic = k.topic AND key >= k.key AND key <= k.key
                ORDER BY key, position LIMIT 1) f
            WHERE NOT f.head OR TG_OP <> 'DELETE' ORDER BY f.position);
        -- Waits, in one order for all, for transactions that delete one of them. Once they commit, other rows are the first.
        SELECT count(*) INTO locked FROM unnest(firsts) f(first) CROSS JOIN LATERAL (
            SELECT FROM {ns}outbox_deferred WHERE position = f.first FOR NO KEY UPDATE) l;
        EXIT WHEN locked = cardinality(firsts);
    END LOOP;
    UPDATE {ns}outbox_deferred SET head = true WHERE NOT head AND position = ANY (
        firsts || ARRAY(SELECT position FROM changed WHERE blocked AND key IS NULL));
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_mark_inserted AFTER INSERT ON {ns}outbox_deferred REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {ns}outbox_mark_heads();
CREATE TRIGGER outbox_mark_deleted AFTER DELETE ON {ns}outbox_deferred REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {ns}outbox_mark_heads();
-- The function updates the table itself.
CREATE TRIGGER outbox_mark_updated AFTER UPDATE ON {ns}outbox_deferred REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION {ns}outbox_mark_heads();
