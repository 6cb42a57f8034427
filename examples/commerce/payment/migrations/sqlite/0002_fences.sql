-- The newest fencing token of a caller, per effect key. Calls with an older one are refused.
ALTER TABLE {ns}asks ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
