-- The least that a service with a worker on its inbox needs, as a role to grant to those that log in. Run it as the owner
-- of the tables, who may also create roles, after the migration; running it again changes nothing.
-- Migrations are for the owner. Where the schema is up to date, `migrate` only reads its version.
DO $$ BEGIN CREATE ROLE {prefix}inbox_worker NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT ON {ns}inbox_schema TO {prefix}inbox_worker;

-- Admission: marks are written and read, never changed.
GRANT SELECT, INSERT ON {ns}inbox_marks TO {prefix}inbox_worker;

-- Where else a message was read.
GRANT SELECT, INSERT, UPDATE ON {ns}inbox_copies TO {prefix}inbox_worker;

-- Retention: checkpoints are recorded, old ones and the marks behind them go.
GRANT DELETE ON {ns}inbox_marks, {ns}inbox_copies TO {prefix}inbox_worker;
GRANT SELECT, INSERT, DELETE ON {ns}inbox_progress TO {prefix}inbox_worker;
