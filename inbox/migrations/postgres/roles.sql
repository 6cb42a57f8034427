-- The least privileges of a service with a worker, as a role to grant to the users that services
-- log in with. Run it in one transaction, as the owner of the tables, after the migrations. Running
-- it again changes nothing. The owner needs CREATEROLE unless the role exists. Only the owner
-- migrates. If the schema is up to date, opening the inbox only reads its version. Two sessions
-- that grant on one table at once fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}inbox_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}inbox_worker') THEN CREATE ROLE {prefix}inbox_worker NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- There is no version table where another tool runs the migrations.
DO $$ BEGIN
    GRANT SELECT ON {ns}inbox_schema TO {prefix}inbox_worker;
EXCEPTION WHEN undefined_table THEN NULL; END $$;

-- Admission inserts and reads processed records, and never changes them.
GRANT SELECT, INSERT ON {ns}inbox_processed TO {prefix}inbox_worker;

-- Redeliveries: the highest offset may rise.
GRANT SELECT, INSERT, UPDATE ("offset", after_seq) ON {ns}inbox_redeliveries TO {prefix}inbox_worker;

-- Retention records checkpoints, and prunes old ones and the processed records that they cover.
GRANT DELETE ON {ns}inbox_processed, {ns}inbox_redeliveries TO {prefix}inbox_worker;
GRANT SELECT, INSERT, DELETE ON {ns}inbox_progress TO {prefix}inbox_worker;
