CREATE TABLE {ns}users (
    user_id       TEXT PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE,  -- in lower case
    phone         TEXT,                  -- +4930901820
    display_name  TEXT NOT NULL,
    locale        TEXT NOT NULL,
    roles         TEXT NOT NULL,         -- JSON
    channel_prefs TEXT NOT NULL,         -- JSON
    status        TEXT NOT NULL,
    password_hash TEXT,                  -- argon2id; null = the password of the seeds, which no table holds
    version       BIGINT NOT NULL
);

-- A login, and all refresh tokens that descend from it.
CREATE TABLE {ns}sessions (
    session_id TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    expires_at BIGINT NOT NULL,         -- microseconds since 1970, as all times
    revoked_at BIGINT
);

CREATE TABLE {ns}refresh_tokens (
    token_hash TEXT PRIMARY KEY,         -- no table holds a token
    session_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    nonce      BYTEA                      -- with it, whoever holds the used token computes its successor
);

CREATE TABLE {ns}login_attempts (
    email        TEXT PRIMARY KEY,       -- whether or not a user has it
    failures     BIGINT NOT NULL,
    locked_until BIGINT NOT NULL,
    last_at      BIGINT NOT NULL
);

CREATE TABLE {ns}signing_keys (
    kid   TEXT PRIMARY KEY,
    seed  BYTEA NOT NULL,                 -- secret
    state TEXT NOT NULL,                 -- next, current, retired
    since BIGINT NOT NULL               -- when it entered the state
);
CREATE UNIQUE INDEX {prefix}signing_keys_in_use ON {ns}signing_keys (state) WHERE state <> 'retired';
