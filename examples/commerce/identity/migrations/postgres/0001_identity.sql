CREATE TABLE {ns}identity_scaffold (id BIGINT PRIMARY KEY);
