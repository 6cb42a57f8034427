-- One row for each run. Lists read neither state nor input. Collation "C" compares texts byte by
-- byte in every locale, and is faster. Times are microseconds since 1970.
CREATE TABLE {ns}saga_runs (
    run          TEXT COLLATE "C" PRIMARY KEY,
    saga         TEXT COLLATE "C" NOT NULL,
    business_key TEXT COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    fingerprint  BIGINT NOT NULL,           -- of its definition
    status       TEXT COLLATE "C" NOT NULL, -- running, undoing, broken, completed, undone
    is_overdue   BOOLEAN NOT NULL,
    step         TEXT COLLATE "C",          -- that it is at
    state        TEXT NOT NULL,             -- JSON; empty until it is saved first
    input        TEXT NOT NULL,             -- JSON; never changed
    started_at   BIGINT NOT NULL,
    saved_at     BIGINT NOT NULL,
    wake_at      BIGINT,                    -- when its timer is due; null: never
    ended_at     BIGINT                     -- null: it has not ended
);

-- A key has at most one run that has not ended: nulls are distinct. It finds the ended ones, too.
CREATE UNIQUE INDEX {prefix}saga_runs_by_key ON {ns}saga_runs (saga, business_key, (CASE WHEN ended_at IS NULL THEN 1 END));
-- What is due, and which definitions have live runs.
CREATE INDEX {prefix}saga_runs_by_due ON {ns}saga_runs (saga, fingerprint, wake_at) WHERE ended_at IS NULL;
-- Lists.
CREATE INDEX {prefix}saga_runs_by_status ON {ns}saga_runs (saga, status, run);
CREATE INDEX {prefix}saga_runs_by_overdue ON {ns}saga_runs (saga, run) WHERE is_overdue;
-- What has had its time.
CREATE INDEX {prefix}saga_runs_by_ended ON {ns}saga_runs (saga, ended_at) WHERE ended_at IS NOT NULL;

-- What happened to each run. Rows are never changed.
CREATE TABLE {ns}saga_journal (
    run    TEXT COLLATE "C" NOT NULL,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    at     BIGINT NOT NULL,
    entry  TEXT NOT NULL,                   -- JSON
    PRIMARY KEY (run, number)
);

-- The participant's side: how often the do and the undo of a step came.
CREATE TABLE {ns}saga_steps (
    step   TEXT COLLATE "C" PRIMARY KEY,
    begins INTEGER NOT NULL,
    undos  INTEGER NOT NULL,
    at     BIGINT NOT NULL                  -- of the latest one
);
CREATE INDEX {prefix}saga_steps_by_at ON {ns}saga_steps (at);
