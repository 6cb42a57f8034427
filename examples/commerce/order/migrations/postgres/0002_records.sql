-- mainstay-idempotency keeps the answers. Keys that were used before are forgotten.
DROP TABLE {ns}idempotency_keys;
