-- The first row of each blocked key is marked as its head. A relay finds the keys that are due by an index, and reads
-- nothing of the others, however many rows wait. A refused message without a key is a head as well.
ALTER TABLE {ns}outbox_deferred ADD COLUMN head INTEGER NOT NULL DEFAULT 0;

UPDATE {ns}outbox_deferred SET head = 1 WHERE position IN (
    SELECT min(position) FROM {ns}outbox_deferred WHERE blocked = 1
    GROUP BY topic, key, CASE WHEN key IS NULL THEN position END);

-- By shard, so that a relay reads nothing of the shards of others.
CREATE INDEX {prefix}outbox_deferred_heads ON {prefix}outbox_deferred (shard, due_at) WHERE head = 1;
DROP INDEX {prefix}outbox_deferred_by_due;
CREATE INDEX {prefix}outbox_deferred_by_due ON {prefix}outbox_deferred (shard, due_at) WHERE blocked = 0;

-- The database keeps the marks, whoever writes: a relay, or an operator who deletes a row to skip its message.
CREATE TRIGGER {prefix}outbox_mark_inserted AFTER INSERT ON {prefix}outbox_deferred WHEN NEW.blocked = 1 BEGIN
    UPDATE {prefix}outbox_deferred SET head = 1 WHERE head = 0 AND position = CASE WHEN NEW.key IS NULL THEN NEW.position ELSE (
        SELECT min(position) FROM {prefix}outbox_deferred INDEXED BY {prefix}outbox_deferred_by_key
        WHERE blocked = 1 AND topic = NEW.topic AND key = NEW.key) END;
END;
CREATE TRIGGER {prefix}outbox_mark_updated AFTER UPDATE OF blocked ON {prefix}outbox_deferred
WHEN NEW.blocked = 1 AND OLD.blocked = 0 BEGIN
    UPDATE {prefix}outbox_deferred SET head = 1 WHERE head = 0 AND position = CASE WHEN NEW.key IS NULL THEN NEW.position ELSE (
        SELECT min(position) FROM {prefix}outbox_deferred INDEXED BY {prefix}outbox_deferred_by_key
        WHERE blocked = 1 AND topic = NEW.topic AND key = NEW.key) END;
END;
CREATE TRIGGER {prefix}outbox_mark_deleted AFTER DELETE ON {prefix}outbox_deferred WHEN OLD.head = 1 AND OLD.key IS NOT NULL BEGIN
    UPDATE {prefix}outbox_deferred SET head = 1 WHERE head = 0 AND position = (
        SELECT min(position) FROM {prefix}outbox_deferred INDEXED BY {prefix}outbox_deferred_by_key
        WHERE blocked = 1 AND topic = OLD.topic AND key = OLD.key);
END;
