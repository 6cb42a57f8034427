-- The least privileges of a service with a dead letter queue, its replayer and its desk, as a role to
-- grant to the users that services log in with, beside the inbox's role. Run it in one transaction, as
-- the owner of the tables, after the migrations. Running it again changes nothing. The owner needs
-- CREATEROLE unless the role exists. Two sessions that grant on one table at once fail, so they take
-- turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}dlq_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}dlq_worker') THEN CREATE ROLE {prefix}dlq_worker NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- There is no version table where another tool runs the migrations.
DO $$ BEGIN
    GRANT SELECT ON {ns}dlq_schema TO {prefix}dlq_worker;
EXCEPTION WHEN undefined_table THEN NULL; END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON {ns}dlq_messages, {ns}dlq_blocked_keys TO {prefix}dlq_worker;

-- Bodies and failures are never changed.
GRANT SELECT, INSERT, DELETE ON {ns}dlq_bodies, {ns}dlq_failures TO {prefix}dlq_worker;

-- The audit log only grows.
GRANT SELECT, INSERT ON {ns}dlq_audit TO {prefix}dlq_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON {ns}dlq_jobs TO {prefix}dlq_worker;
