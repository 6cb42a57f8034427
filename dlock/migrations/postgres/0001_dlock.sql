-- Locks that are held, or were until their lease ended. Releasing deletes the row; that of a holder that died stays until
-- the lock is acquired again. Renewals update no indexed column, and the room in each page keeps them in it.
CREATE TABLE {ns}dlock_leases (
    name        TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,           -- an id that is new for each acquisition
    fence       BIGINT NOT NULL,
    lease_until BIGINT NOT NULL          -- by the server's clock, in microseconds since 1970
) WITH (fillfactor = 50);

-- Fencing tokens, for all locks: rows of released locks need not be kept. A token is drawn under a lock on its name that is
-- kept until the commit, so tokens of a name are granted in the order in which they are drawn.
CREATE SEQUENCE {ns}dlock_tokens AS BIGINT;

-- The newest token that was accepted for each guarded resource. Rows are never deleted.
CREATE TABLE {ns}dlock_fences (
    name  TEXT PRIMARY KEY,
    fence BIGINT NOT NULL
) WITH (fillfactor = 50);

-- For triggers on guarded tables: refuses a statement unless a token of the lock TG_ARGV[0] was accepted before in the same
-- transaction. A check leaves that in a setting which ends with the transaction, or with its savepoint.
CREATE FUNCTION {ns}dlock_require_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF position(E'\n{ns}' || TG_ARGV[0] || E'\n' IN coalesce(current_setting('mainstay_dlock.checked', true), '')) = 0 THEN
        RAISE EXCEPTION 'table % is guarded by lock "%", whose fencing token was not checked in this transaction',
            TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'insufficient_privilege', HINT = 'Call guard.check(&fences, &mut tx) first.';
    END IF;
    RETURN NULL;
END $$;
