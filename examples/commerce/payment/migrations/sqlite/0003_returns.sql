-- The return that a refund is for; none: an operator requested it.
ALTER TABLE {ns}refunds ADD COLUMN return_id TEXT;
