-- Whether anything is kept, and how many are dead or held: without reading what is resolved.
CREATE INDEX {prefix}dlq_messages_by_state ON {ns}dlq_messages (consumer, state) WHERE state IN ('dead', 'held');
