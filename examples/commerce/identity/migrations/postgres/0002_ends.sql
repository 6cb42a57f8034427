-- The sweep of ended sessions reads what has ended only.
CREATE INDEX {prefix}refresh_tokens_session ON {ns}refresh_tokens (session_id);
CREATE INDEX {prefix}sessions_end ON {ns}sessions (expires_at);
