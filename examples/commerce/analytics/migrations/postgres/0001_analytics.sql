CREATE TABLE {ns}analytics_scaffold (id BIGINT PRIMARY KEY);
