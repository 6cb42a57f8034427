CREATE TABLE {ns}notification_scaffold (id BIGINT PRIMARY KEY);
