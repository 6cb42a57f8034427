-- The least privileges of a service with sagas, their timers and their desk, or with participants, as
-- a role to grant to the users that services log in with, beside the roles of outbox and inbox. Run it
-- in one transaction, as the owner of the tables, after the migrations. Running it again changes
-- nothing. The owner needs CREATEROLE unless the role exists. Two sessions that grant on one table at
-- once fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}saga_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}saga_worker') THEN CREATE ROLE {prefix}saga_worker NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- There is no version table where another tool runs the migrations.
DO $$ BEGIN
    GRANT SELECT ON {ns}saga_schema TO {prefix}saga_worker;
EXCEPTION WHEN undefined_table THEN NULL; END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON {ns}saga_runs, {ns}saga_steps TO {prefix}saga_worker;

-- A journal is never changed; it is deleted with its run.
GRANT SELECT, INSERT, DELETE ON {ns}saga_journal TO {prefix}saga_worker;
