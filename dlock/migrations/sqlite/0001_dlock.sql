-- Locks that are held, or were until their lease ended. Releasing deletes the row; that of a holder that died stays until
-- the lock is acquired again.
CREATE TABLE {ns}dlock_leases (
    name        TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,           -- an id that is new for each acquisition
    fence       INTEGER NOT NULL,
    boot_id     TEXT NOT NULL,
    -- Microseconds of the host's monotonic clock, which includes suspended time. All processes that can open this file share
    -- the host, and a lease of an earlier boot has ended.
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last fencing token that was granted, for all locks, in one row: rows of released locks need not be kept.
CREATE TABLE {ns}dlock_tokens (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    fence  INTEGER NOT NULL
) STRICT;
INSERT INTO {ns}dlock_tokens (single, fence) VALUES (1, 0);

-- The newest token that was accepted for each guarded resource. Rows are never deleted.
CREATE TABLE {ns}dlock_fences (
    name  TEXT PRIMARY KEY,
    fence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- For triggers on guarded tables: tokens that were accepted in a transaction. Rows count while the transaction has
-- `defer_foreign_keys` on, which ends with it.
CREATE TABLE {ns}dlock_checked (
    name  TEXT PRIMARY KEY,
    fence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
