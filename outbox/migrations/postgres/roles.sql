-- The least that the two sides of an outbox need, as roles to grant to those that log in. Run it in one transaction, as the
-- owner of the tables, after the migration; running it again changes nothing. The owner may create roles, or somebody has
-- created these.
-- Migrations are for the owner. Where the schema is up to date, opening the outbox only reads.
-- Two that grant on one table at once fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}outbox_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}outbox_writer') THEN CREATE ROLE {prefix}outbox_writer NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}outbox_relay') THEN CREATE ROLE {prefix}outbox_relay NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;

-- Both open it.
GRANT SELECT ON {ns}outbox_schema, {ns}outbox_layout TO {prefix}outbox_writer, {prefix}outbox_relay;

-- A writer puts rows in and cannot read them again; of deduplication keys it learns which ones were new.
GRANT INSERT ON {ns}outbox, {ns}outbox_deferred TO {prefix}outbox_writer;
GRANT INSERT, SELECT (deduplication_key) ON {ns}outbox_deduplication_keys TO {prefix}outbox_writer;

-- A relay takes rows out and cannot put any in; UPDATE of a shard is also what its share lock asks for.
GRANT SELECT, DELETE ON {ns}outbox TO {prefix}outbox_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON {ns}outbox_deferred, {ns}outbox_relays TO {prefix}outbox_relay;
GRANT SELECT, UPDATE (owner, fence) ON {ns}outbox_shards TO {prefix}outbox_relay;
-- SKIP LOCKED asks for UPDATE of something.
GRANT SELECT, DELETE, UPDATE (used_at) ON {ns}outbox_deduplication_keys TO {prefix}outbox_relay;
