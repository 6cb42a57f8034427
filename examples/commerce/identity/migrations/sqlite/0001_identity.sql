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
    version       INTEGER NOT NULL
) STRICT;

-- A login, and all refresh tokens that descend from it.
CREATE TABLE {ns}sessions (
    session_id TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,         -- microseconds since 1970, as all times
    revoked_at INTEGER
) STRICT;

CREATE TABLE {ns}refresh_tokens (
    token_hash TEXT PRIMARY KEY,         -- no table holds a token
    session_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    nonce      BLOB                      -- with it, whoever holds the used token computes its successor
) STRICT;

CREATE TABLE {ns}login_attempts (
    email        TEXT PRIMARY KEY,       -- whether or not a user has it
    failures     INTEGER NOT NULL,
    locked_until INTEGER NOT NULL,
    last_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE {ns}signing_keys (
    kid   TEXT PRIMARY KEY,
    seed  BLOB NOT NULL,                 -- secret
    state TEXT NOT NULL,                 -- next, current, retired
    since INTEGER NOT NULL               -- when it entered the state
) STRICT;
CREATE UNIQUE INDEX {prefix}signing_keys_in_use ON {prefix}signing_keys (state) WHERE state <> 'retired';
