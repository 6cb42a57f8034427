-- The least privileges of services with locks, as roles to grant to the users that services log in with.
-- Run it in one transaction, as the owner of the tables, after the migrations. Running it again changes
-- nothing. The owner needs CREATEROLE unless the roles exist. Only the owner migrates. Two sessions that
-- grant on one table at once fail, so they take turns.
SELECT pg_advisory_xact_lock(hashtextextended('mainstay {ns}dlock_roles', 0));
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}dlock_holder') THEN CREATE ROLE {prefix}dlock_holder NOLOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{prefix}dlock_writer') THEN CREATE ROLE {prefix}dlock_writer NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
-- There is no version table where another tool runs the migrations.
DO $$ BEGIN
    GRANT SELECT ON {ns}dlock_schema TO {prefix}dlock_holder, {prefix}dlock_writer;
EXCEPTION WHEN undefined_table THEN NULL; END $$;

-- Holders take, renew and release leases, and draw tokens. They may set the sequence, above a token that
-- a resource has refused.
GRANT SELECT, INSERT, DELETE, UPDATE (owner, fence, lease_until) ON {ns}dlock_leases TO {prefix}dlock_holder;
GRANT SELECT, USAGE, UPDATE ON SEQUENCE {ns}dlock_tokens TO {prefix}dlock_holder;

-- Writers check tokens, in the database of the guarded rows. They read no lease and grant no token.
GRANT SELECT, INSERT, UPDATE (fence) ON {ns}dlock_fences TO {prefix}dlock_writer;
