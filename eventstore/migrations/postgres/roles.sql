-- The least privileges of a service with event streams, as a role to grant to the users that services
-- log in with. Run it in one transaction, as the owner of the tables, after the migrations. Running it
-- again changes nothing. The owner needs CREATEROLE unless the role exists. Only the owner migrates.
-- Two sessions that grant on one table at once fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}eventstore_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}eventstore_service') THEN CREATE ROLE {prefix}eventstore_service NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- There is no version table where another tool runs the migrations.
DO $$ BEGIN
    GRANT SELECT ON {ns}eventstore_schema TO {prefix}eventstore_service;
EXCEPTION WHEN undefined_table THEN NULL; END $$;

-- Events are appended, and neither changed nor deleted.
GRANT SELECT, INSERT ON {ns}eventstore_events TO {prefix}eventstore_service;
GRANT SELECT, INSERT, UPDATE (version, shape, state) ON {ns}eventstore_snapshots TO {prefix}eventstore_service;
GRANT SELECT, INSERT, UPDATE (shape, stream, version, events, total, is_done)
    ON {ns}eventstore_rebuilds TO {prefix}eventstore_service;
