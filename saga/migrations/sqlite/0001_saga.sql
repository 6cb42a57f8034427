-- One row for each run. Lists read neither state nor input. Times are microseconds since 1970.
CREATE TABLE {ns}saga_runs (
    run          TEXT NOT NULL PRIMARY KEY,
    saga         TEXT NOT NULL,
    business_key TEXT NOT NULL,
    version      INTEGER NOT NULL,
    fingerprint  INTEGER NOT NULL,  -- of its definition
    status       TEXT NOT NULL,     -- running, undoing, broken, completed, undone
    is_overdue   INTEGER NOT NULL,
    step         TEXT,              -- that it is at
    state        TEXT NOT NULL,     -- JSON; empty until it is saved first
    input        TEXT NOT NULL,     -- JSON; never changed
    started_at   INTEGER NOT NULL,
    saved_at     INTEGER NOT NULL,
    wake_at      INTEGER,           -- when its timer is due; null: never
    ended_at     INTEGER            -- null: it has not ended
) STRICT;

-- A key has at most one run that has not ended: nulls are distinct. It finds the ended ones, too.
CREATE UNIQUE INDEX {prefix}saga_runs_by_key ON {ns}saga_runs (saga, business_key, (CASE WHEN ended_at IS NULL THEN 1 END));
-- What is due, and which definitions have live runs.
CREATE INDEX {prefix}saga_runs_by_due ON {ns}saga_runs (saga, fingerprint, wake_at) WHERE ended_at IS NULL;
-- Lists.
CREATE INDEX {prefix}saga_runs_by_status ON {ns}saga_runs (saga, status, run);
CREATE INDEX {prefix}saga_runs_by_overdue ON {ns}saga_runs (saga, run) WHERE is_overdue;
-- What has had its time.
CREATE INDEX {prefix}saga_runs_by_ended ON {ns}saga_runs (saga, ended_at) WHERE ended_at IS NOT NULL;

-- What happened to each run. Rows are never changed; numbers rise while their run has any.
CREATE TABLE {ns}saga_journal (
    number INTEGER PRIMARY KEY,
    run    TEXT NOT NULL,
    at     INTEGER NOT NULL,
    entry  TEXT NOT NULL            -- JSON
) STRICT;
CREATE INDEX {prefix}saga_journal_by_run ON {ns}saga_journal (run, number);

-- The participant's side: how often the do and the undo of a step came.
CREATE TABLE {ns}saga_steps (
    step   TEXT NOT NULL PRIMARY KEY,
    begins INTEGER NOT NULL,
    undos  INTEGER NOT NULL,
    at     INTEGER NOT NULL         -- of the latest one
) STRICT, WITHOUT ROWID;
CREATE INDEX {prefix}saga_steps_by_at ON {ns}saga_steps (at);
