-- The least privileges of a writer, of a relay and of an operator, as three roles to grant to logins. Run it in one transaction, as the owner
-- of the tables, after the migration. Running it again changes nothing. The owner needs CREATEROLE unless the roles exist.
-- Only the owner migrates; where the schema is up to date, opening the outbox only reads.

-- Two runs that grant on one table at the same time would fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}outbox_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}outbox_writer') THEN CREATE ROLE {prefix}outbox_writer NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}outbox_relay') THEN CREATE ROLE {prefix}outbox_relay NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}outbox_operator') THEN CREATE ROLE {prefix}outbox_operator NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;

-- All open the outbox. There is no version table where another tool runs the migrations.
DO $$ BEGIN
    GRANT SELECT ON {ns}outbox_schema TO {prefix}outbox_writer, {prefix}outbox_relay, {prefix}outbox_operator;
EXCEPTION WHEN undefined_table THEN NULL; END $$;
GRANT SELECT ON {ns}outbox_layout TO {prefix}outbox_writer, {prefix}outbox_relay, {prefix}outbox_operator;

-- A writer inserts rows and cannot read them. Of deduplication keys it learns which ones were unused.
GRANT INSERT ON {ns}outbox, {ns}outbox_deferred TO {prefix}outbox_writer;
GRANT INSERT, SELECT (deduplication_key) ON {ns}outbox_deduplication_keys TO {prefix}outbox_writer;

-- A relay removes rows and cannot insert any. The share lock on a shard needs UPDATE.
GRANT SELECT, DELETE ON {ns}outbox TO {prefix}outbox_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON {ns}outbox_deferred, {ns}outbox_relays TO {prefix}outbox_relay;
GRANT SELECT, UPDATE (owner, fence) ON {ns}outbox_shards TO {prefix}outbox_relay;
-- SKIP LOCKED needs UPDATE of some column.
GRANT SELECT, DELETE, UPDATE (used_at) ON {ns}outbox_deduplication_keys TO {prefix}outbox_relay;

-- An operator sees and removes deferred rows, and cannot insert any. The mark of the next head is part of an act.
GRANT SELECT, DELETE, UPDATE (due_at, head) ON {ns}outbox_deferred TO {prefix}outbox_operator;
GRANT SELECT, INSERT ON {ns}outbox_acts TO {prefix}outbox_operator;
