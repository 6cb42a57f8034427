-- When a hold ends by itself, in microseconds since 1970; NULL = never, because its order was confirmed.
ALTER TABLE {ns}reservations ADD COLUMN expires_at BIGINT;
CREATE INDEX {prefix}reservations_by_expiry ON {ns}reservations (expires_at) WHERE state = 'held' AND expires_at IS NOT NULL;
