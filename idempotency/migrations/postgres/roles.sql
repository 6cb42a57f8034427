-- The least privileges of a service with idempotency records, as a role to grant to the users that
-- services log in with. Run it in one transaction, as the owner of the table, after the migrations.
-- Running it again changes nothing. The owner needs CREATEROLE unless the role exists. Only the owner
-- migrates. Two sessions that grant on one table at once fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}idempotency_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}idempotency_service') THEN CREATE ROLE {prefix}idempotency_service NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- There is no version table where another tool runs the migrations.
DO $$ BEGIN
    GRANT SELECT ON {ns}idempotency_schema TO {prefix}idempotency_service;
EXCEPTION WHEN undefined_table THEN NULL; END $$;

-- Completing inserts a record, or replaces one that has expired. Sweeping deletes expired ones.
GRANT SELECT, INSERT, DELETE, UPDATE (fingerprint, status, headers, body, expires_at)
    ON {ns}idempotency_records TO {prefix}idempotency_service;
