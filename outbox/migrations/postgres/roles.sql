-- The least that the two sides of an outbox need, as roles to grant to those that log in. Run it as the owner of the
-- tables, who may also create roles, after the migration; running it again changes nothing.
-- Migrations are for the owner. Where the schema is up to date, opening the outbox only reads.
DO $$ BEGIN CREATE ROLE {prefix}outbox_writer NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE {prefix}outbox_relay NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;

-- Both open it.
GRANT SELECT ON {ns}outbox_schema, {ns}outbox_layout TO {prefix}outbox_writer, {prefix}outbox_relay;

-- A writer puts rows in and cannot read them again; of enqueue keys it learns which ones were new.
GRANT INSERT ON {ns}outbox, {ns}outbox_held TO {prefix}outbox_writer;
GRANT INSERT, SELECT (enqueue_key) ON {ns}outbox_enqueue_keys TO {prefix}outbox_writer;

-- A relay takes rows out and cannot put any in; UPDATE of a shard is also what its share lock asks for.
GRANT SELECT, DELETE ON {ns}outbox TO {prefix}outbox_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON {ns}outbox_held, {ns}outbox_relays TO {prefix}outbox_relay;
GRANT SELECT, UPDATE (owner, fence) ON {ns}outbox_shards TO {prefix}outbox_relay;
-- SKIP LOCKED asks for UPDATE of something.
GRANT SELECT, DELETE, UPDATE (used_at) ON {ns}outbox_enqueue_keys TO {prefix}outbox_relay;
