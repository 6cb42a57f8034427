-- The least that a service with a worker on its inbox needs, as a role to grant to those that log in. Run it in one
-- transaction, as the owner of the tables, after the migration; running it again changes nothing. The owner may create roles,
-- or somebody has created this one.
-- Migrations are for the owner. Where the schema is up to date, `migrate` only reads its version.
-- Two that grant on one table at once fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}inbox_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}inbox_worker') THEN CREATE ROLE {prefix}inbox_worker NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT ON {ns}inbox_schema TO {prefix}inbox_worker;

-- Admission: marks are written and read, never changed.
GRANT SELECT, INSERT ON {ns}inbox_processed TO {prefix}inbox_worker;

-- Where else a message was read: how far, and after what, may change.
GRANT SELECT, INSERT, UPDATE ("offset", after_seq) ON {ns}inbox_redeliveries TO {prefix}inbox_worker;

-- Retention: checkpoints are recorded, old ones and the marks behind them go.
GRANT DELETE ON {ns}inbox_processed, {ns}inbox_redeliveries TO {prefix}inbox_worker;
GRANT SELECT, INSERT, DELETE ON {ns}inbox_progress TO {prefix}inbox_worker;
